//! The command line of `densenet train`, and the recipe that it stands for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use densenet::optimiser::Kind;
use toml::Table;

use super::begin::{Begun, Prepared, resume};
use super::options::RecipeOptions;
use super::recipe::{self, Recipe, layered};
use crate::data_dir::DataDir;
use crate::output::Misuse;
use crate::threads::Threads;

/// Trains a network and writes its weights and a log
///
/// DIR/log.jsonl gets a line per step and per epoch, DIR/last.safetensors the newest weights, DIR/best.safetensors
/// those of the epoch that did best on the validation part, DIR/recipe.toml everything that determines the run. Ctrl-C
/// or SIGTERM finishes the step and saves; within an epoch, the run is also saved every minute. The same recipe gives
/// the same weights, interrupted or not. At the end, the best weights get a reference to at most 10,000 of the training
/// pictures, which predict uses to mark pictures unlike them.
#[derive(Args)]
#[command(after_help = "Example: densenet train --model seed --data fashion-mnist --epochs 5 --schedule cosine\n\
    then:    densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist\n\
    your own pictures: densenet train --recipe finetune --init cifar10 --data PICTURES --size 128")]
pub struct Train {
    /// A recipe to start from: paper-cifar, paper-imagenet, article, finetune, multilabel, quick, or a TOML file, such
    /// as another run's DIR/recipe.toml; options override it
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    pub data_dir: DataDir,
    #[command(flatten)]
    pub threads: Threads,
    /// Train N networks from N consecutive seeds, starting at --seed, each in DIR/seed-S, and report their mean and
    /// standard deviation
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "resume")]
    pub seeds: Option<u32>,
    /// Instead of training, search for the learning rate: the loss of a hundred steps, each with a higher rate
    #[arg(long, conflicts_with_all = ["resume", "seeds"])]
    pub find_lr: bool,
    /// Also write loss, learning rate and scores for TensorBoard
    #[arg(long)]
    pub tensorboard: bool,
    /// Folder of the run [default: runs/MODEL-DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Resume the run in this folder; --epochs, --max-steps, --patience, --max-bad and --memory may change
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    #[command(flatten)]
    options: RecipeOptions,
}

impl Train {
    /// The run that is begun or resumed.
    pub fn begin(&self) -> Result<Begun> {
        if let Some(folder) = &self.resume {
            return resume(folder, &self.data_dir, |begun| self.recipe(Table::try_from(begun)?));
        }
        let recipe = self.recipe(Table::new())?;
        let folder = self.folder(&recipe)?;
        self.prepared(recipe)?.start(&folder)
    }

    /// What `recipe` stands for, before the first step.
    pub fn prepared(&self, recipe: Recipe) -> Result<Prepared> {
        if recipe.training.optimizer == Kind::AdamW && self.options.training.momentum.is_some() {
            return Err(Misuse("--momentum is for --optimizer sgd".into()).into());
        }
        Prepared::new(recipe, &self.data_dir, self.says_augment()?)
    }

    /// The recipe `base` with that of `--recipe` and the options above it.
    ///
    /// # Errors
    /// A faulty recipe file, or one with an impossible network or setting.
    pub fn recipe(&self, base: Table) -> Result<Recipe> {
        let named = self.named_recipe()?;
        let recipe = Recipe::of(layered(layered(base, named.clone()), Table::try_from(&self.options)?))?;
        if let (Some(source), Err(error)) = (&self.recipe, recipe.validate()) {
            let alone = Recipe::of(named)?.validate();
            if alone.is_err_and(|alone| alone.to_string() == error.to_string()) {
                bail!("{}: {error}", source.display());
            }
        }
        Ok(recipe)
    }

    fn named_recipe(&self) -> Result<Table> {
        self.recipe.as_deref().map_or(Ok(Table::new()), recipe::read)
    }

    /// Whether the recipe or an option says how pictures are cropped and mirrored.
    fn says_augment(&self) -> Result<bool> {
        let recipe = self.named_recipe()?;
        let says = recipe.get("training").and_then(|training| training.get("augment")?.get("base")).is_some();
        Ok(says || self.options.training.augment.base.is_some())
    }

    /// The folder of a new run.
    pub fn folder(&self, recipe: &Recipe) -> Result<PathBuf> {
        if let Some(out) = &self.out {
            return Ok(out.clone());
        }
        let Some(data) = &recipe.data else { return Err(Misuse("a new run needs --data".into()).into()) };
        let model = match (&recipe.model, &recipe.init) {
            (Some(model), _) => model.clone(),
            (None, Some(init)) => name_of(init)?,
            (None, None) => return Err(Misuse("a new run needs --model or --init".into()).into()),
        };
        Ok(Path::new("runs").join(format!("{model}-{}", name_of(Path::new(data))?)))
    }
}

/// The name of what is at `path`: a file's without its suffix, a folder's in full.
///
/// # Errors
/// A folder that is called `..` and is not there, or the root folder, which has no name.
fn name_of(path: &Path) -> Result<String> {
    let named = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => fs::canonicalize(path).with_context(|| path.display().to_string())?,
    };
    let name = if named.is_file() { named.file_stem() } else { named.file_name() };
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let nameless = || format!("{} has no name to call the run's folder after; give one with --out", path.display());
    name.ok_or_else(|| Misuse(nameless()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_called_by_the_whole_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let within = |name: &str| folder.path().join(name);
        fs::create_dir_all(within("photos.v1/cats")).unwrap();
        fs::write(within("labels.v2.csv"), "").unwrap();
        for (path, name) in [
            ("photos.v1", "photos.v1"),
            ("photos.v1/", "photos.v1"),
            ("photos.v1/.", "photos.v1"),
            ("photos.v1/cats/..", "photos.v1"),
            ("labels.v2.csv", "labels.v2"),
        ] {
            assert_eq!(name_of(&within(path)).unwrap(), name, "{path}");
        }
        assert_eq!(name_of(Path::new("fashion-mnist")).unwrap(), "fashion-mnist");
        let here = std::env::current_dir().unwrap();
        assert_eq!(name_of(Path::new(".")).unwrap(), here.file_name().unwrap().to_str().unwrap());
        assert!(name_of(Path::new("/")).unwrap_err().is::<Misuse>());
        assert!(name_of(Path::new("nowhere/..")).unwrap_err().to_string().contains("nowhere/.."));
    }
}

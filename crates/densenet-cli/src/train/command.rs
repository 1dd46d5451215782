//! The command line of `densenet train`, and the recipe that it stands for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use densenet::data::DataSet;
use densenet::optimiser::Kind;
use densenet::training::Run;
use toml::Table;

use super::begin::{Prepared, resume};
use super::options::RecipeOptions;
use super::recipe::{self, Recipe, layered};
use crate::data_dir::DataDir;
use crate::output::Misuse;
use crate::threads::Threads;

/// Trains a network and writes its weights and a log
///
/// DIR/log.jsonl gets a line per step and per epoch, DIR/last.safetensors the newest weights, DIR/best.safetensors those of
/// the epoch that did best on the validation part, DIR/recipe.toml all that determines the run. Ctrl-C finishes the step and
/// saves; so does a minute within an epoch. The same recipe gives the same weights, interrupted or not. At the end the best
/// weights get a reference to at most 10,000 of the training pictures, with which predict marks pictures unlike them.
#[derive(Args)]
#[command(after_help = "Example: densenet train --model seed --data fashion-mnist --epochs 5 --schedule cosine\n\
    then:    densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist\n\
    your own pictures: densenet train --recipe finetune --init cifar10 --data PICTURES --size 128")]
pub struct Train {
    /// A recipe to begin from: paper-cifar, paper-imagenet, article, finetune, multilabel, quick, or a TOML file, as
    /// DIR/recipe.toml of another run; options stand above it
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    pub data_dir: DataDir,
    #[command(flatten)]
    pub threads: Threads,
    /// Train N networks from as many seeds, --seed and those that follow, each in DIR/seed-S; tells their mean and deviation
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "resume")]
    pub seeds: Option<u32>,
    /// Instead of training, search for the learning rate: the loss of a hundred steps, each of a higher rate
    #[arg(long, conflicts_with_all = ["resume", "seeds"])]
    pub find_lr: bool,
    /// Write loss, rate and scores for TensorBoard, too
    #[arg(long)]
    pub tensorboard: bool,
    /// Folder of the run [default: runs/MODEL-DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; --epochs, --max-steps, --patience, --max-bad and --memory may change
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    #[command(flatten)]
    options: RecipeOptions,
}

impl Train {
    /// The run that is begun or gone on with, and its folder.
    pub fn begin(&self) -> Result<(Run, DataSet, PathBuf)> {
        if let Some(folder) = &self.resume {
            let (run, data) = resume(folder, &self.data_dir, |begun| self.recipe(Table::try_from(begun)?))?;
            return Ok((run, data, folder.clone()));
        }
        let recipe = self.recipe(Table::new())?;
        let folder = self.folder(&recipe)?;
        let (run, data) = self.prepared(recipe)?.start(&folder)?;
        Ok((run, data, folder))
    }

    /// What `recipe` stands for, before the first step.
    pub fn prepared(&self, recipe: Recipe) -> Result<Prepared> {
        if recipe.training.optimizer == Kind::AdamW && self.options.training.momentum.is_some() {
            return Err(Misuse("--momentum is for --optimizer sgd".into()).into());
        }
        Prepared::new(recipe, &self.data_dir, self.says_augment()?)
    }

    /// The recipe `base` with that of `--recipe` and the options above it.
    pub fn recipe(&self, base: Table) -> Result<Recipe> {
        Recipe::of(layered(layered(base, self.named_recipe()?), Table::try_from(&self.options)?))
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
        let init = recipe.init.as_ref().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
        let data = recipe.data.as_deref().and_then(|data| Some(Path::new(data).file_stem()?.to_string_lossy()));
        match (recipe.model.clone().or(init), data) {
            (_, None) => Err(Misuse("a new run needs --data".into()).into()),
            (None, _) => Err(Misuse("a new run needs --model or --init".into()).into()),
            (Some(model), Some(data)) => Ok(Path::new("runs").join(format!("{model}-{data}"))),
        }
    }
}

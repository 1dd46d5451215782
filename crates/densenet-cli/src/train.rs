//! `densenet train`.

mod finish;
mod options;
mod recipe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use densenet::checkpoint::Card;
use densenet::data::{DataSet, Targets};
use densenet::network::{DenseNet, Memory};
use densenet::optimiser::Kind;
use densenet::output::Output;
use densenet::training::{LAST, Outcome, Run, Settings};
use densenet::{Architecture, Config};
use toml::Table;

use crate::augmenting::usual;
use crate::data_dir::DataDir;
use crate::model;
use crate::output::{self, Misuse, counted};
use crate::threads::Threads;
use crate::watch::{self, Watch, interruption};
use finish::finish;
use options::RecipeOptions;
use recipe::{Recipe, layered};

/// Trains a network and writes its weights and a log
///
/// DIR/log.jsonl gets a line per step and per epoch, DIR/last.safetensors the newest weights, DIR/best.safetensors those of
/// the epoch that did best on the validation part, DIR/recipe.toml all that determines the run. Ctrl-C finishes the step and
/// saves; so does a minute within an epoch. The same recipe gives the same weights, interrupted or not.
#[derive(Args)]
#[command(after_help = "Example: densenet train --model seed --data fashion-mnist --epochs 5 --schedule cosine\n\
    then:    densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist\n\
    your own pictures: densenet train --recipe finetune --init densenet-bc-40-12-cifar10 --data PICTURES --size 128")]
pub struct Train {
    /// A recipe to begin from: paper-cifar, paper-imagenet, article, finetune, multilabel, quick, or a TOML file, as
    /// DIR/recipe.toml of another run; options stand above it
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    options: RecipeOptions,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    threads: Threads,
    /// Folder of the run [default: runs/MODEL-DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; --epochs, --max-steps, --patience, --max-bad and --memory may change
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

impl Train {
    pub fn run(self) -> Result<ExitCode> {
        let threads = self.threads.start()?;
        let (mut run, data, folder) = match &self.resume {
            Some(folder) => self.resume(folder)?,
            None => self.start()?,
        };
        let steps = watch::announce(&run, &data, &folder, threads);
        let interrupted = interruption()?;
        let mut watch = Watch::new(run.settings.epochs, steps, run.progress().step, interrupted.clone());
        let outcome = run.train(&data.train, data.chooses(), &mut watch);
        let unreadable = watch.unreadable();
        drop(watch);
        output::count_unreadable(unreadable, data.train.len() + data.chooses().len());
        match outcome {
            Err(error @ densenet::Error::Diverged { .. }) => {
                Err(error).with_context(|| format!("{} holds the last good weights", folder.join(LAST).display()))
            }
            Err(error) => Err(error.into()),
            Ok(Outcome::Interrupted) => {
                let step = run.progress().step;
                let folder = folder.display();
                output::note(format_args!("saved at step {step}; go on with: densenet train --resume {folder}"));
                Ok(ExitCode::from(130))
            }
            Ok(Outcome::Finished) => {
                let judged = finish(&run, &data, &folder, &interrupted)?;
                let judged = judged.as_ref().map(|judged| (judged.part, &judged.evaluation));
                output::print(&watch::summary(&run, &folder, data.chooses().part(), judged))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// The recipe with the options above it.
    fn recipe(&self, base: Table) -> Result<Recipe> {
        let over = self.recipe.as_deref().map_or(Ok(Table::new()), recipe::read)?;
        Recipe::of(layered(layered(base, over), Table::try_from(&self.options)?))
    }

    fn start(&self) -> Result<(Run, DataSet, PathBuf)> {
        let mut recipe = self.recipe(Table::new())?;
        if recipe.training.optimizer == Kind::AdamW && self.options.training.momentum.is_some() {
            return Err(Misuse("--momentum is for --optimizer sgd".into()).into());
        }
        let Some(name) = recipe.data.clone() else {
            return Err(Misuse("a new run needs --data".into()).into());
        };
        recipe.training.validate()?;
        let data = divided(self.data_dir.open(&name)?, &recipe.training, recipe.seed)?;
        let (model, preset) = network(&recipe)?;
        let preset = adapted(preset, &data);
        let config = Config {
            input_size: recipe.size.unwrap_or(preset.input_size),
            drop_rate: recipe.drop_rate.unwrap_or(preset.drop_rate),
            ..preset
        };
        (recipe.size, recipe.drop_rate) = (Some(config.input_size), Some(config.drop_rate));
        if !self.says_augment()? {
            recipe.training.augment.base = usual(&data);
        }
        Architecture::new(&config)?.block_sizes(config.input_size, config.input_size)?;
        let network = match &recipe.init {
            Some(path) => initial(path, &config, recipe.seed)?,
            None => DenseNet::new(&config, recipe.seed)?,
        };
        let card = Card {
            preprocessing: Some(data.preprocessing.with_size(config.input_size)),
            labels: data.train.classes().to_vec(),
            dataset: name.clone(),
            seed: recipe.seed,
            output: Some(match data.train.targets() {
                Targets::Classes(_) => Output::softmax(),
                Targets::Labels(_) => Output::sigmoid(),
            }),
            ..Card::of(config)
        };
        let folder =
            self.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{model}-{}", last_part(&name))));
        check_classes(&data)?;
        Run::check(&card, &recipe.training, &data.train, data.chooses())?;
        let run = Run::start(&folder, card, network, recipe.training.clone())?;
        recipe.write(&folder)?;
        Ok((run, data, folder))
    }

    /// Whether the recipe or an option says how pictures are cropped and mirrored.
    fn says_augment(&self) -> Result<bool> {
        let recipe = self.recipe.as_deref().map_or(Ok(Table::new()), recipe::read)?;
        let says = recipe.get("training").and_then(|training| training.get("augment")?.get("base")).is_some();
        Ok(says || self.options.training.augment.base.is_some())
    }

    fn resume(&self, folder: &Path) -> Result<(Run, DataSet, PathBuf)> {
        let mut run = Run::resume(folder)?;
        let begun = Recipe::of_run(&run, folder)?;
        let recipe = self.recipe(Table::try_from(&begun)?)?;
        recipe.training.validate()?;
        let name = recipe.data.as_ref().unwrap_or(&run.card().dataset);
        let data = divided(self.data_dir.open(name)?, &recipe.training, recipe.seed)?;
        self.refuse_changes(&run, folder, &begun, &recipe, &data)?;
        say_changed_rate(&run, &recipe.training, data.train.len());
        run.settings = recipe.training;
        Ok((run, data, folder.to_path_buf()))
    }

    /// Refuses a recipe with which the run would not be the one that was begun.
    fn refuse_changes(&self, run: &Run, folder: &Path, begun: &Recipe, now: &Recipe, data: &DataSet) -> Result<()> {
        let may_change = |recipe: &Recipe| Recipe {
            // The same data may lie elsewhere.
            data: None,
            training: Settings {
                epochs: 1,
                max_steps: None,
                patience: None,
                max_bad: 0.0,
                memory: Memory::Normal,
                ..recipe.training.clone()
            },
            ..recipe.clone()
        };
        let mut changed = may_change(begun).differences(&may_change(now))?;
        if data.train.classes() != run.card().labels {
            let (found, known) = (data.train.classes().len(), run.card().labels.len());
            changed.push(format!("data: other classes ({found}; the run knows {known})"));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let (folder, changed) = (folder.display(), changed.join("; "));
        Err(Misuse(format!("the run in {folder} was begun otherwise ({changed}); leave that out, or begin a new run"))
            .into())
    }
}

/// Says that the learning rate changes where a run goes on with other settings, if it does.
fn say_changed_rate(run: &Run, settings: &Settings, pictures: usize) {
    let next = run.progress().step;
    let [before, after] = [&run.settings, settings].map(|settings| settings.rate(next, pictures));
    if before != after {
        output::note(format_args!(
            "with {} instead of {}, the learning rate of step {} is {after:.3e}, not {before:.3e}",
            counted(settings.epochs, "epoch"),
            run.settings.epochs,
            next + 1
        ));
    }
}

/// The network that a recipe names, and what its run's folder is named after.
fn network(recipe: &Recipe) -> Result<(String, Config)> {
    match (&recipe.model, &recipe.init) {
        (Some(model), _) => Ok((model.clone(), Config::preset(model)?)),
        (None, Some(path)) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, model::open(path, None)?.config()?))
        }
        (None, None) => Err(Misuse("a new run needs --model or --init".into()).into()),
    }
}

/// The data with a part to choose the best epoch by, unless the test part is to choose.
fn divided(data: DataSet, settings: &Settings, seed: u64) -> Result<DataSet> {
    Ok(if settings.val_fraction > 0.0 { data.divide(settings.val_fraction, seed)? } else { data })
}

/// Refuses a folder of a class without a picture.
fn check_classes(data: &DataSet) -> Result<()> {
    match data.train.empty_class().filter(|_| data.train.path(0).is_some()) {
        Some(class) => bail!("{}: no pictures of {class}; a class needs at least one to train on", data.name),
        None => Ok(()),
    }
}

/// A network of `config` with the weights of `path`, which may be of other classes and input channels.
fn initial(path: &Path, config: &Config, seed: u64) -> Result<DenseNet> {
    let architecture = Architecture::new(config)?;
    let (weights, changes) = model::open(path, None)?.initial(&architecture, seed)?;
    model::warn_of_broken(&weights, &architecture, path);
    changes.iter().for_each(|change| output::note(format_args!("{}: {change}", path.display())));
    Ok(DenseNet::from_arenas(config, weights.parameters, weights.running)?)
}

/// The network `config` with the channels and classes of `data`.
fn adapted(config: Config, data: &DataSet) -> Config {
    let (in_channels, num_classes) = (data.preprocessing.channels(), data.train.classes().len());
    Config { in_channels, num_classes, ..config }
}

/// The last part of a path, as the name of a folder of pictures.
fn last_part(path: &str) -> String {
    Path::new(path).file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned())
}

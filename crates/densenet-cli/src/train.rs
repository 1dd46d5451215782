//! `densenet train`.

mod begin;
mod finish;
mod options;
mod rates;
pub mod recipe;
mod recorder;
mod several;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use densenet::data::DataSet;
use densenet::optimiser::Kind;
use densenet::training::{LAST, Outcome, Run};
use toml::Table;

use self::begin::{Prepared, resume};
use self::finish::{Judged, finish};
use self::options::RecipeOptions;
use self::recipe::{Recipe, layered};
use self::recorder::Recorder;
use crate::data_dir::DataDir;
use crate::output::{self, Misuse};
use crate::threads::Threads;
use crate::watch::{self, Watch, interruption};
use crate::{machine, report};

/// Trains a network and writes its weights and a log
///
/// DIR/log.jsonl gets a line per step and per epoch, DIR/last.safetensors the newest weights, DIR/best.safetensors those of
/// the epoch that did best on the validation part, DIR/recipe.toml all that determines the run. Ctrl-C finishes the step and
/// saves; so does a minute within an epoch. The same recipe gives the same weights, interrupted or not.
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
    options: RecipeOptions,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    threads: Threads,
    /// Train N networks from as many seeds, --seed and those that follow, each in DIR/seed-S; tells their mean and deviation
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "resume")]
    seeds: Option<u32>,
    /// Instead of training, search for the learning rate: the loss of a hundred steps, each of a higher rate
    #[arg(long, conflicts_with_all = ["resume", "seeds"])]
    find_lr: bool,
    /// Write loss, rate and scores for TensorBoard, too
    #[arg(long)]
    tensorboard: bool,
    /// Folder of the run [default: runs/MODEL-DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; --epochs, --max-steps, --patience, --max-bad and --memory may change
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

/// What holds for all runs of a command.
struct How {
    threads: usize,
    tensorboard: bool,
    interrupted: Arc<AtomicBool>,
}

/// How a run ended.
enum Ended {
    /// With all its steps, and what its best network came to, if an epoch was done.
    Done(Option<Judged>),
    /// By Ctrl-C; it can be resumed.
    Interrupted,
}

impl Train {
    pub fn run(self) -> Result<ExitCode> {
        let how = How { threads: self.threads.start()?, tensorboard: self.tensorboard, interrupted: interruption()? };
        if self.find_lr {
            let recipe = self.recipe(Table::new())?;
            let folder = self.folder(&recipe)?;
            return Ok(exit(rates::search(self.prepared(recipe)?, &folder, &how)?));
        }
        let ended = match several::Several::of(&self)? {
            Some(several) => several.run(&self, &how)?,
            None => {
                let (run, data, folder) = self.begin()?;
                matches!(train(run, &data, &folder, &how)?, Ended::Done(_))
            }
        };
        Ok(exit(ended))
    }

    /// The run that is begun or gone on with, and its folder.
    fn begin(&self) -> Result<(Run, DataSet, PathBuf)> {
        if let Some(folder) = &self.resume {
            let (run, data) = resume(folder, &self.data_dir, |begun| self.recipe(Table::try_from(begun)?))?;
            return Ok((run, data, folder.clone()));
        }
        let recipe = self.recipe(Table::new())?;
        let folder = self.folder(&recipe)?;
        let (run, data) = self.prepared(recipe)?.start(&folder)?;
        Ok((run, data, folder))
    }

    fn prepared(&self, recipe: Recipe) -> Result<Prepared> {
        if recipe.training.optimizer == Kind::AdamW && self.options.training.momentum.is_some() {
            return Err(Misuse("--momentum is for --optimizer sgd".into()).into());
        }
        Prepared::new(recipe, &self.data_dir, self.says_augment()?)
    }

    /// The recipe `base` with that of `--recipe` and the options above it.
    fn recipe(&self, base: Table) -> Result<Recipe> {
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
    fn folder(&self, recipe: &Recipe) -> Result<PathBuf> {
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

/// That of what was `done`, or interrupted.
fn exit(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { ExitCode::from(130) }
}

/// Trains `run` to its end, unless Ctrl-C is before it, and tells what became of it.
fn train(mut run: Run, data: &DataSet, folder: &Path, how: &How) -> Result<Ended> {
    let &How { threads, tensorboard, ref interrupted } = how;
    let steps = watch::announce(&run, data, folder, threads);
    let done = run.progress().step;
    let watch = Watch::new(run.settings.epochs, steps, done, interrupted.clone());
    let mut recorder = Recorder::new(watch, folder.into(), threads, done, tensorboard)?;
    let outcome = run.train(&data.train, data.chooses(), &mut recorder);
    let unreadable = recorder.count_of_unreadable();
    drop(recorder);
    output::note_turned(data.train.turned() + data.chooses().turned(), run.card().preprocessing()?);
    output::count_unreadable(unreadable, data.train.len() + data.chooses().len());
    let outcome = outcome.map_err(|error| match error {
        densenet::Error::Diverged { .. } => {
            anyhow::Error::new(error).context(format!("{} holds the last good weights", folder.join(LAST).display()))
        }
        error => error.into(),
    });
    if outcome? == Outcome::Interrupted {
        let (step, folder) = (run.progress().step, folder.display());
        output::note(format_args!("saved at step {step}; go on with: densenet train --resume {folder}"));
        return Ok(Ended::Interrupted);
    }
    let judged = finish(&run, data, folder, interrupted)?;
    if let Some(Judged { answers, evaluation, .. }) = &judged {
        report::judged::save(folder, &data.test, answers, evaluation)?;
    }
    machine::save(folder, threads)?;
    report::write(folder, false)?;
    let told = judged.as_ref().map(|judged| (judged.part, &judged.evaluation));
    output::print(&watch::summary(&run, folder, data.chooses().part(), told))?;
    Ok(Ended::Done(judged))
}

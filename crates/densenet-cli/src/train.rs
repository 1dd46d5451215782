//! `densenet train`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::Args;
use densenet::checkpoint::Card;
use densenet::data::{Augment, DataSet};
use densenet::evaluation::evaluate;
use densenet::network::{DenseNet, Memory};
use densenet::optimiser::Kind;
use densenet::schedule::Schedule;
use densenet::training::{BEST, LAST, Outcome, Run, Settings};
use densenet::{Architecture, Config};
use serde_json::{Value, json};

use crate::data_dir::DataDir;
use crate::decoding::Decoding;
use crate::model;
use crate::output::{self, Misuse, counted};
use crate::threads::Threads;
use crate::watch::{self, Watch, interruption};
use crate::word::word;

/// Trains a network and writes its weights and a log
///
/// DIR/log.jsonl gets a line per step and per epoch, DIR/last.safetensors the newest weights, DIR/best.safetensors
/// those of the epoch that did best on the validation part, or on the test part where there is no other. Ctrl-C finishes the step and saves; so does a minute within an
/// epoch. The same seed gives the same weights, interrupted or not.
#[derive(Args)]
#[command(after_help = "Example: densenet train --model seed --data fashion-mnist --epochs 5 --schedule cosine\n\
    then:    densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist")]
pub struct Train {
    /// The network, also densenet-L-k or densenet-bc-L-k of any depth; its input channels and classes become the data's
    /// [default: that of --init]
    #[arg(long, value_parser = model::preset, required_unless_present_any = ["resume", "init"])]
    model: Option<String>,
    /// fashion-mnist, mnist, cifar10, cifar100, or a folder of classes, IDX files or CIFAR binaries
    #[arg(long, value_name = "D", required_unless_present = "resume")]
    data: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Times that every picture is seen [default: 10]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pictures per step [default: 64]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// sgd (with Nesterov momentum) or adamw (Adam with decoupled weight decay) [default: sgd]
    #[arg(long, value_parser = word::<Kind>, value_name = "WORD")]
    optimizer: Option<Kind>,
    /// The highest learning rate [default: 0.1; 0.001 with adamw]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// constant, steps (a tenth at 50 % and 75 %), or cosine (with warm-up) over all epochs [default: steps]
    #[arg(long, value_parser = word::<Schedule>, value_name = "WORD")]
    schedule: Option<Schedule>,
    /// Nesterov momentum of sgd [default: 0.9]
    #[arg(long, value_name = "X")]
    momentum: Option<f64>,
    /// Weight decay on all parameters [default: 0.0001; 0.01 with adamw]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Shorten gradients whose norm over all parameters is larger
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Keep a moving average of the weights, of which a step keeps this share; it is what is evaluated and saved
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Share of the target that is spread over all classes [default: 0]
    #[arg(long, value_name = "X")]
    label_smoothing: Option<f64>,
    /// none, flip, crop-flip (as usual for CIFAR) or resized-crop (as usual for photographs) [default: the usual one of the data set]
    #[arg(long, value_parser = word::<Augment>, value_name = "WORD")]
    augment: Option<Augment>,
    /// Take the pictures in the data's own order
    #[arg(long)]
    no_shuffle: bool,
    /// End after so many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// normal, or low: bottlenecks that would take more memory than gradients do are recomputed in the backward pass
    #[arg(long, value_parser = word::<Memory>, value_name = "WORD")]
    memory: Option<Memory>,
    /// Take a step's pictures in N micro-batches, one after the other, for less memory; batch-norm sees each on its own
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// Height and width that pictures are resized to [default: the network's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    #[command(flatten)]
    decoding: Decoding,
    /// Dropout after each convolution of the dense layers [default: 0]
    #[arg(long, value_name = "P")]
    drop_rate: Option<f64>,
    /// Of the initial weights and all that is random [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    threads: Threads,
    /// Folder of the run [default: runs/MODEL-DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Begin with the weights of this file or built-in model; its input channels and classes may be others than the data's
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Go on with the run in this folder; --epochs, --max-steps and --memory may change
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
        output::note_turned(data.train.turned() + data.chooses().turned(), run.card().preprocessing()?);
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
                let test = tested(&run, &data, &folder, &interrupted)?;
                output::print(&watch::summary(&run, &folder, data.chooses().part(), test))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    fn start(&self) -> Result<(Run, DataSet, PathBuf)> {
        let Some(name) = &self.data else {
            return Err(Misuse("a new run needs --data".into()).into());
        };
        let mut settings = self.defaults()?;
        self.apply(&mut settings).validate()?;
        let data = self.data_dir.open(name)?;
        let (model, preset) = self.network()?;
        let preset = adapted(preset, &data);
        let config = Config {
            input_size: self.size.unwrap_or(preset.input_size),
            drop_rate: self.drop_rate.unwrap_or(preset.drop_rate),
            ..preset
        };
        settings.augment = self.augment.unwrap_or_else(|| usual(&data));
        Architecture::new(&config)?.block_sizes(config.input_size, config.input_size)?;
        let seed = self.seed.unwrap_or(0);
        let network = match &self.init {
            Some(path) => initial(path, &config, seed)?,
            None => DenseNet::new(&config, seed)?,
        };
        let card = Card {
            preprocessing: Some(self.decoding.overrule(data.preprocessing.with_size(config.input_size))),
            labels: data.train.classes().to_vec(),
            dataset: name.clone(),
            seed,
            ..Card::of(config)
        };
        let folder = self.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{model}-{}", last_part(name))));
        check_classes(&data)?;
        Run::check(&card, &settings, &data.train, data.chooses())?;
        Ok((Run::start(&folder, card, network, settings)?, data, folder))
    }

    /// The network that the options name, and what its run's folder is named after.
    fn network(&self) -> Result<(String, Config)> {
        match (&self.model, &self.init) {
            (Some(model), _) => Ok((model.clone(), Config::preset(model)?)),
            (None, Some(path)) => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Ok((name, model::open(path, None)?.config()?))
            }
            (None, None) => Err(Misuse("a new run needs --model or --init".into()).into()),
        }
    }

    fn resume(&self, folder: &Path) -> Result<(Run, DataSet, PathBuf)> {
        let mut run = Run::resume(folder)?;
        let data = self.data_dir.open(self.data.as_ref().unwrap_or(&run.card().dataset))?;
        let mut settings = run.settings.clone();
        self.apply(&mut settings).validate()?;
        let changed = self.changes(&run, &settings, &data)?;
        if !changed.is_empty() {
            let reason = format!(
                "the run in {} was begun with another {}; leave that out, or begin a new run",
                folder.display(),
                changed.join(", ")
            );
            return Err(Misuse(reason).into());
        }
        let next = run.progress().step;
        let [before, after] = [&run.settings, &settings].map(|settings| settings.rate(next, data.train.len()));
        if before != after {
            output::note(format_args!(
                "with {} instead of {}, the learning rate of step {} is {after:.3e}, not {before:.3e}",
                counted(settings.epochs, "epoch"),
                run.settings.epochs,
                next + 1
            ));
        }
        run.settings = settings;
        Ok((run, data, folder.to_path_buf()))
    }

    /// The options that differ from what the run was begun with.
    fn changes(&self, run: &Run, settings: &Settings, data: &DataSet) -> Result<Vec<String>> {
        let card = run.card();
        let model_differs = match &self.model {
            Some(model) => {
                let (input_size, drop_rate) = (card.config.input_size, card.config.drop_rate);
                Config { input_size, drop_rate, ..adapted(Config::preset(model)?, data) } != card.config
            }
            None => false,
        };
        let differs = [
            ("--model", model_differs),
            ("--data", data.train.classes() != card.labels),
            ("--size", self.size.is_some_and(|size| size != card.config.input_size)),
            ("--drop-rate", self.drop_rate.is_some_and(|rate| rate != card.config.drop_rate)),
            ("--seed", self.seed.is_some_and(|seed| seed != card.seed)),
        ];
        let differs = differs.into_iter().chain(self.decoding.changes(card.preprocessing()?));
        let mut names: Vec<String> = differs.filter(|(_, differs)| *differs).map(|(n, _)| n.to_string()).collect();
        let fixed = |settings: &Settings| {
            json!(Settings { epochs: 1, max_steps: None, memory: Memory::Normal, ..settings.clone() })
        };
        if let (Value::Object(now), Value::Object(then)) = (fixed(settings), fixed(&run.settings)) {
            let changed = now.iter().filter(|(name, value)| then.get(*name) != Some(*value));
            names.extend(
                changed.map(|(name, _)| format!("--{}", name.replace('_', "-").replace("shuffle", "no-shuffle"))),
            );
        }
        Ok(names)
    }

    /// The usual settings of the optimiser.
    fn defaults(&self) -> Result<Settings> {
        match (self.optimizer, self.momentum) {
            (Some(Kind::AdamW), Some(_)) => Err(Misuse("--momentum is for --optimizer sgd".into()).into()),
            (Some(Kind::AdamW), None) => Ok(Settings { lr: 1e-3, weight_decay: 1e-2, ..Settings::default() }),
            (Some(Kind::Sgd) | None, _) => Ok(Settings::default()),
        }
    }

    /// Puts what the command line says into `settings`.
    fn apply<'a>(&self, settings: &'a mut Settings) -> &'a Settings {
        fn set<T: Copy>(place: &mut T, given: Option<T>) {
            *place = given.unwrap_or(*place);
        }
        set(&mut settings.epochs, self.epochs);
        set(&mut settings.batch, self.batch);
        set(&mut settings.optimizer, self.optimizer);
        set(&mut settings.lr, self.lr);
        set(&mut settings.schedule, self.schedule);
        set(&mut settings.momentum, self.momentum);
        set(&mut settings.weight_decay, self.weight_decay);
        set(&mut settings.label_smoothing, self.label_smoothing);
        set(&mut settings.augment, self.augment);
        set(&mut settings.memory, self.memory);
        set(&mut settings.accumulate, self.accumulate);
        settings.clip_norm = self.clip_norm.or(settings.clip_norm);
        settings.ema = self.ema.or(settings.ema);
        settings.max_steps = self.max_steps.or(settings.max_steps);
        settings.shuffle &= !self.no_shuffle;
        settings
    }
}

/// Refuses a folder of a class without a picture.
fn check_classes(data: &DataSet) -> Result<()> {
    match data.train.empty_class().filter(|_| data.train.path(0).is_some()) {
        Some(class) => bail!("{}: no pictures of {class}; a class needs at least one to train on", data.name),
        None => Ok(()),
    }
}

/// The accuracy of the best epoch on the test part, where another part has chosen that epoch.
fn tested(run: &Run, data: &DataSet, folder: &Path, interrupted: &AtomicBool) -> Result<Option<f64>> {
    if data.validation.is_none() || run.progress().best_top1.is_none() {
        return Ok(None);
    }
    let (network, card) = DenseNet::load(folder.join(BEST))?;
    let evaluation = evaluate(&network, &data.test, card.preprocessing()?, run.settings.batch, |_| {
        if interrupted.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(evaluation.map(|evaluation| evaluation.top1))
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

/// The changes usually made to training pictures of this kind.
fn usual(data: &DataSet) -> Augment {
    match (data.train.path(0), data.preprocessing.channels()) {
        (Some(_), _) => Augment::ResizedCrop,
        (None, 3) => Augment::CropFlip,
        (None, _) => Augment::None,
    }
}

/// The last part of a path, as the name of a folder of pictures.
fn last_part(path: &str) -> String {
    Path::new(path).file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned())
}

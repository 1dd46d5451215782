//! The runs of a plan, one after the other.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use densenet::config::Joining;
use densenet::data::{Augment, Augmentation, DataSet, Preprocessing, Split, Views};
use densenet::evaluation::{Evaluation, Predictions, predictions, ranking};
use densenet::info::Info;
use densenet::network::DenseNet;
use densenet::output::Output;
use densenet::training::{EpochReport, LAST, LOG, Observer, Outcome, RESUME, Run, Settings, StepReport, seed_of};
use densenet::{Architecture, Card, Config, Ensemble, Error};
use densenet_kernels::random::Stream;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array4;
use serde::Serialize;

use super::measure::gradients;
use super::networks::{config, depth};
use super::plan::{Experiment, Match, Network, Plan};
use super::results::{Correct, CurvePoint, GRADIENTS, InitialGradients, RESULTS, RunResult, append, read};
use crate::output::{self, counted};

/// Pictures that gradients are measured on.
const MEASURED: usize = 128;

/// Training pictures that the training loss is measured on, at most.
const SCORED: usize = 2_000;

/// Pictures that go through a network at a time outside training.
const BATCH: usize = 256;

/// A run to do.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: String,
    pub experiment: String,
    pub network: String,
    pub config: Config,
    pub images: usize,
    pub augment: Augment,
    pub seed: u64,
}

impl Task {
    /// Whether the run of `other` is the same to the bit, as where two experiments share a network.
    pub fn is_like(&self, other: &Self) -> bool {
        let run = |task: &Self| (task.images, word(task.augment), task.seed);
        run(self) == run(other) && self.config == other.config
    }
}

/// A comparison: its plan, its data and its folder.
pub struct Comparison {
    pub plan: Plan,
    pub data: DataSet,
    pub folder: PathBuf,
    preprocessing: Preprocessing,
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    Interrupted,
}

impl Comparison {
    /// Those of `plan` on `data`.
    pub fn new(plan: Plan, data: DataSet, folder: PathBuf) -> Self {
        let size = plan.size.unwrap_or(data.preprocessing.size);
        Self { preprocessing: data.preprocessing.with_size(size), plan, data, folder }
    }

    /// The plan's network for the data.
    fn base(&self) -> Result<Config> {
        Ok(Config {
            in_channels: self.preprocessing.channels(),
            num_classes: self.data.train.classes().len(),
            input_size: self.preprocessing.size,
            ..Config::preset(&self.plan.network)?
        })
    }

    /// All runs, in the order in which they are done: one seed of everything before the next, so that half a plan says
    /// something about everything.
    ///
    /// # Errors
    /// More pictures than there are, networks that cannot be matched, impossible settings, and the same run twice.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let base = self.base()?;
        let mut tasks = Vec::new();
        for experiment in &self.plan.experiments {
            for network in &experiment.networks {
                tasks.extend(self.tasks_of(experiment, network, &base)?);
            }
        }
        tasks.sort_by_key(|task| task.seed);
        // The plan has been checked, except for what depends on the epochs, such as the number of cycles.
        for task in &tasks {
            let settings = self.settings(task, task.images);
            settings.validate().map_err(|error| anyhow!("{}: {error}", task.id))?;
        }
        let mut known = HashSet::new();
        if let Some(Task { id, images, .. }) = tasks.iter().find(|task| !known.insert(&task.id)) {
            bail!(
                "{id} is in the plan twice: two of its images are {images} pictures, or two of its augment are the same"
            );
        }
        Ok(tasks)
    }

    fn tasks_of(&self, experiment: &Experiment, network: &Network, base: &Config) -> Result<Vec<Task>> {
        let config = config(network, base, experiment.matched)?;
        Architecture::new(&config)?.block_sizes(config.input_size, config.input_size)?;
        let mut tasks = Vec::new();
        for images in &experiment.images {
            let images = images.of(self.data.train.len())?;
            for &augment in &experiment.augment {
                tasks.extend((0..experiment.seeds).map(|seed| Task {
                    id: format!("{}-{}-{images}-{}-{seed}", experiment.name, network.name, word(augment)),
                    experiment: experiment.name.clone(),
                    network: network.name.clone(),
                    config: config.clone(),
                    images,
                    augment,
                    seed,
                }));
            }
        }
        Ok(tasks)
    }

    /// Does the `tasks` that are not done yet, and calls `after` with each once it is. One that diverges counts as
    /// done, too, and is reported: the same command would diverge again.
    pub fn run(
        &self,
        tasks: &[Task],
        interrupted: &Arc<AtomicBool>,
        mut after: impl FnMut(&Task) -> Result<()>,
    ) -> Result<Ended> {
        self.measure_gradients()?;
        for task in tasks {
            if self.done()?.contains(&task.id) {
                continue;
            }
            let result = match self.known(task)? {
                Some(result) => result,
                None => match self.train(task, interrupted)? {
                    Some(result) => result,
                    None => return Ok(Ended::Interrupted),
                },
            };
            append(&self.folder, RESULTS, &result)?;
            // The weights are no longer needed: their results are written.
            let _ = fs::remove_dir_all(self.folder_of(task));
            if let Some(reason) = &result.diverged {
                output::note(format_args!("{} diverged: {reason}", task.id));
            }
            after(task)?;
        }
        self.tell_diverged()?;
        Ok(Ended::Done)
    }

    /// Reports which of the finished runs diverged, including those of earlier commands.
    fn tell_diverged(&self) -> Result<()> {
        let done = read::<RunResult>(&self.folder, RESULTS)?;
        let diverged: Vec<String> = done.into_iter().filter(|run| run.diverged.is_some()).map(|run| run.id).collect();
        if !diverged.is_empty() {
            let (runs, names) = (counted(diverged.len(), "run"), diverged.join(", "));
            output::note(format_args!("{runs} diverged, so claims that need one are not decided: {names}"));
        }
        Ok(())
    }

    /// The result of `task` where another experiment has had the same run.
    fn known(&self, task: &Task) -> Result<Option<RunResult>> {
        let tasks = self.tasks()?;
        let of_task = |run: &RunResult| tasks.iter().find(|other| other.id == run.id);
        let done = read::<RunResult>(&self.folder, RESULTS)?;
        let same = done.into_iter().find(|run| of_task(run).is_some_and(|other| other.is_like(task)));
        let Task { id, experiment, network, .. } = task.clone();
        Ok(same.map(|run| RunResult { id, experiment, network, seconds: 0.0, ..run }))
    }

    /// The finished runs.
    pub fn done(&self) -> Result<Vec<String>> {
        Ok(read::<RunResult>(&self.folder, RESULTS)?.into_iter().map(|run| run.id).collect())
    }

    fn folder_of(&self, task: &Task) -> PathBuf {
        self.folder.join("runs").join(&task.id)
    }

    /// Trains the network of `task`, resuming it if it was begun; none where that is interrupted.
    fn train(&self, task: &Task, interrupted: &Arc<AtomicBool>) -> Result<Option<RunResult>> {
        let (folder, part) = (self.folder_of(task), self.subset(task.images, task.seed));
        let mut run = match folder.join(RESUME).exists() {
            true => Run::resume(&folder)?,
            false => self.start(task, &folder, &part)?,
        };
        let mut watch = Watch::new(&task.id, run.settings.steps(part.len()) * run.settings.epochs, interrupted.clone());
        watch.bar.set_position(run.progress().step);
        // Nothing is chosen on held-out pictures: the last epoch counts. One picture will do, but it has to be
        // readable.
        let readable = (0..part.len()).find(|&index| part.picture(index).is_ok());
        let few = part.select(&[readable.unwrap_or(0)]);
        let outcome = run.train(&part, &few, &mut watch);
        watch.bar.finish_and_clear();
        match outcome {
            Ok(Outcome::Interrupted) => Ok(None),
            Ok(Outcome::Finished) => {
                let (network, _) = DenseNet::load(folder.join(LAST))?;
                self.judge(task, &part, &run, network).map(Some)
            }
            // That costs the other runs nothing.
            Err(error @ Error::Diverged { .. }) => {
                Ok(Some(RunResult { diverged: Some(error.to_string()), ..self.unjudged(task, &run)? }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start(&self, task: &Task, folder: &Path, part: &Split) -> Result<Run> {
        let settings = self.settings(task, part.len());
        let card = Card {
            preprocessing: Some(self.preprocessing.clone()),
            labels: self.data.train.classes().to_vec(),
            dataset: self.plan.data.clone(),
            seed: task.seed,
            ..Card::of(task.config.clone())
        };
        Ok(Run::start(folder, card, DenseNet::new(&task.config, task.seed)?, settings)?)
    }

    /// The number of whole epochs that is nearest to the plan's steps, with the schedule over them.
    fn settings(&self, task: &Task, pictures: usize) -> Settings {
        let of_epoch = self.plan.training.steps(pictures);
        Settings {
            epochs: ((self.plan.steps + of_epoch / 2) / of_epoch).max(1),
            augment: Augmentation { base: task.augment, ..self.plan.training.augment },
            ..self.plan.training.clone()
        }
    }

    /// What the trained `network` came to.
    fn judge(&self, task: &Task, part: &Split, run: &Run, mut network: DenseNet) -> Result<RunResult> {
        let known: Vec<usize> = (0..part.len().min(SCORED)).collect();
        let (train, _) = self.score(&network, &part.select(&known))?;
        let (test, test_correct) = self.score(&network, &self.data.test)?;
        let unjudged = self.unjudged(task, run)?;
        if !(train.loss.is_finite() && test.loss.is_finite()) {
            // The weights are finite, but their outputs are not.
            let reason = format!("after the last step, training loss {}, test loss {}", train.loss, test.loss);
            return Ok(RunResult { diverged: Some(reason), ..unjudged });
        }
        let begin = |network: &mut DenseNet, step| self.curve_point(network, part, step);
        let mut curve = vec![begin(&mut DenseNet::new(&task.config, task.seed)?, 0)?];
        curve.push(CurvePoint { test_loss: Some(test.loss), ..begin(&mut network, run.progress().step)? });
        Ok(RunResult {
            train_loss: train.loss,
            train_top1: train.top1.unwrap_or(f64::NAN),
            test_loss: test.loss,
            test_top1: test.top1.unwrap_or(f64::NAN),
            test_correct,
            curve,
            ..unjudged
        })
    }

    /// What is known about a run of `task` without its network.
    fn unjudged(&self, task: &Task, run: &Run) -> Result<RunResult> {
        let architecture = Architecture::new(&task.config)?;
        Ok(RunResult {
            id: task.id.clone(),
            experiment: task.experiment.clone(),
            network: task.network.clone(),
            joining: task.config.joining,
            activation: task.config.activation,
            bottleneck: task.config.bn_size.is_some(),
            compression: task.config.compression,
            depth: depth(&architecture),
            growth_rate: task.config.growth_rate,
            parameters: architecture.num_parameters() as u64,
            macs: Info::new(&architecture, task.config.input_size)?.macs,
            data: self.plan.data.clone(),
            images: task.images,
            augment: word(task.augment),
            seed: task.seed,
            epochs: run.settings.epochs as f64,
            steps: run.progress().step,
            train_loss: f64::NAN,
            train_top1: f64::NAN,
            test_loss: f64::NAN,
            test_top1: f64::NAN,
            test_correct: Correct(Vec::new()),
            seconds: seconds(&self.folder_of(task).join(LOG))?,
            diverged: None,
            curve: Vec::new(),
        })
    }

    /// How good `network` is on `split`, and which pictures it classifies correctly.
    fn score(&self, network: &DenseNet, split: &Split) -> Result<(Evaluation, Correct)> {
        let ensemble = Ensemble::new([(network, Output::softmax())])?;
        let (views, go_on) = (Views::default(), |_| ControlFlow::Continue(()));
        let found = predictions(&ensemble, split, &self.preprocessing, views, BATCH, go_on)?.expect("nothing ends it");
        let first = |row| ranking(row).first().copied();
        let Predictions { logits, pictures, .. } = &found;
        let correct = logits.rows().into_iter().zip(pictures).map(|(row, &i)| first(row) == Some(split.labels()[i]));
        Ok((Evaluation::new(&found), Correct(correct.collect())))
    }

    /// Loss and gradients of a batch of `part` after that many steps.
    fn curve_point(&self, network: &mut DenseNet, part: &Split, step: u64) -> Result<CurvePoint> {
        let (images, labels) = self.batch(part)?;
        let (train_loss, gradients) = gradients(network, images.view(), &labels)?;
        Ok(CurvePoint { step, train_loss, test_loss: None, gradients })
    }

    /// The first pictures of `part`, without those that cannot be read, and their classes.
    fn batch(&self, part: &Split) -> Result<(Array4<f32>, Vec<u32>)> {
        let first: Vec<usize> = (0..part.len().min(MEASURED)).collect();
        let mut found = None;
        part.each_batch(&first, MEASURED, &self.preprocessing, |read, images| {
            found = Some((images, read.iter().map(|&index| part.labels()[index] as u32).collect()));
            Ok(ControlFlow::Continue(()))
        })?;
        found.with_context(|| format!("none of {} can be read", counted(first.len(), "picture")))
    }

    /// That many training pictures, drawn by `seed`, from all classes equally as far as possible; a smaller set is part
    /// of a larger one.
    fn subset(&self, count: usize, seed: u64) -> Split {
        let train = &self.data.train;
        let stream = Stream::new(seed_of(seed, "subset", 0), 0);
        let mut drawn: Vec<usize> = (0..train.len()).collect();
        drawn.sort_by_key(|&index| stream.bits(index as u64));
        // A picture's rank within its class, then the draw: one picture from each class in turn.
        let mut seen = vec![0; train.classes().len()];
        let mut ranked: Vec<(usize, usize)> = drawn
            .into_iter()
            .map(|index| {
                let rank = &mut seen[train.labels()[index]];
                *rank += 1;
                (*rank, index)
            })
            .collect();
        ranked.sort_by_key(|&(rank, _)| rank);
        let chosen: Vec<usize> = ranked.into_iter().take(count).map(|(_, index)| index).collect();
        train.select(&chosen)
    }

    /// Measures the gradients before the first step that are still missing.
    fn measure_gradients(&self) -> Result<()> {
        let Some(plan) = &self.plan.gradients else { return Ok(()) };
        let known = read::<InitialGradients>(&self.folder, GRADIENTS)?;
        for (depth, joining, seed) in plan.all() {
            let network = word(joining);
            if known.iter().any(|known| (known.depth, &known.network, known.seed) == (depth, &network, seed)) {
                continue;
            }
            let config = self.of_depth(depth, joining)?;
            let part = self.subset(MEASURED, seed);
            let point = self.curve_point(&mut DenseNet::new(&config, seed)?, &part, 0)?;
            let CurvePoint { train_loss: loss, gradients: layers, .. } = point;
            let activation = config.activation;
            let found = InitialGradients { network, joining, activation, depth, seed, step: 0, layers, loss };
            append(&self.folder, GRADIENTS, &found)?;
        }
        Ok(())
    }

    /// The plan's network with that many layers with weights, as wide as the dense one.
    fn of_depth(&self, depth: usize, joining: Joining) -> Result<Config> {
        let base = self.base()?;
        let (blocks, each) = (base.block_config.len(), if base.bn_size.is_some() { 2 } else { 1 });
        let layers = depth.saturating_sub(blocks + 1) / each;
        if layers < blocks {
            anyhow::bail!("depths: L = {depth} leaves no layer for each of {blocks} blocks");
        }
        let block = |i: usize| layers / blocks + usize::from(i < layers % blocks);
        let base = Config { block_config: (0..blocks).map(block).collect(), ..base };
        let network = Network { name: word(joining), joining, ..Network::default() };
        config(&network, &base, Match::Widths)
    }
}

impl super::plan::Gradients {
    fn all(&self) -> impl Iterator<Item = (usize, Joining, u64)> {
        let joinings = [Joining::Dense, Joining::Residual, Joining::Plain];
        let each = move |&depth: &usize| joinings.into_iter().map(move |joining| (depth, joining));
        self.depths
            .iter()
            .flat_map(each)
            .flat_map(|(depth, joining)| (0..self.seeds).map(move |seed| (depth, joining, seed)))
    }
}

/// A variant's word, as it is serialised.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_string())).unwrap_or_default()
}

/// The time of all epochs in a run's log.
fn seconds(log: &Path) -> Result<f64> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(lines.filter_map(|line| line["seconds"].as_f64()).sum())
}

/// A bar for that many steps.
fn bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} steps  {eta} left");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A run as the person at the terminal sees it.
struct Watch {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl Watch {
    fn new(id: &str, steps: usize, interrupted: Arc<AtomicBool>) -> Self {
        let bar = bar(steps as u64);
        bar.set_message(id.to_string());
        Self { bar, interrupted }
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.interrupted.load(Ordering::SeqCst) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Observer for Watch {
    fn step(&mut self, _: &StepReport, _: usize) -> ControlFlow<()> {
        self.bar.inc(1);
        self.go_on()
    }

    fn evaluated(&mut self, _: u64) -> ControlFlow<()> {
        self.go_on()
    }

    fn epoch(&mut self, _: &EpochReport) {}
}

/// Approximate seconds that a step of the network of `config` takes.
pub fn seconds_of_a_step(config: &Config, batch: usize) -> Result<f64> {
    let mut network = DenseNet::<f32>::new(config, 0)?;
    let images = Array4::zeros((batch, config.in_channels, config.input_size, config.input_size));
    let labels = vec![0; batch];
    let mut step = || gradients(&mut network, images.view(), &labels);
    step()?;
    let begun = Instant::now();
    step()?;
    Ok(begun.elapsed().as_secs_f64())
}

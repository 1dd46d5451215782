//! Training: the loop over epochs and steps, and runs that outlive a kill.
//!
//! Whatever is random is a function of the run's seed and the number of the epoch or step, so a run that is resumed
//! makes the same bits as one that was never interrupted.

mod carried;
mod log;
mod progress;
mod settings;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use densenet_kernels::random::Stream;
use serde::{Deserialize, Serialize};

use crate::batches::{Batch, Source};
use crate::checkpoint::{Card, Contents, Reader};
use crate::data::Split;
use crate::evaluation::{Evaluation, evaluate, ranking};
use crate::network::{Backprop, DenseNet, StepOptions};
use crate::{Architecture, Error, Result};
use carried::Carried;
use log::Log;
pub use progress::Progress;
pub use settings::Settings;

/// Weights at the end of the last epoch, or of a step within it.
pub const LAST: &str = "last.safetensors";
/// Weights of the epoch that did best on the test set.
pub const BEST: &str = "best.safetensors";
/// Weights with all that it takes to go on.
pub const RESUME: &str = "resume.safetensors";
/// A line of JSON per step and per epoch.
pub const LOG: &str = "log.jsonl";

/// Between two saves within an epoch.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// A step's line in the log.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Number of the step over the whole run, from 1.
    pub step: u64,
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss of the batch.
    pub loss: f64,
    /// The step's learning rate.
    pub lr: f64,
}

/// An epoch's line in the log.
#[derive(Clone, Debug, Serialize)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Share of the pictures that were put in their class during the epoch's steps; from 0 to 1.
    pub train_top1: f64,
    /// Mean loss on the test set after the epoch.
    pub test_loss: f64,
    /// Share of the test pictures put in their class; from 0 to 1.
    pub test_top1: f64,
    /// Time that steps and evaluation took.
    pub seconds: f64,
}

/// Who hears of a run and may end it; a run that is ended is saved first.
pub trait Observer {
    /// A step of `images` pictures is done.
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()>;
    /// So many pictures of the test set are evaluated.
    fn evaluated(&mut self, images: u64) -> ControlFlow<()>;
    /// An epoch is done.
    fn epoch(&mut self, epoch: &EpochReport);
}

/// Why [`Run::train`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs, or as many steps as were allowed, are done.
    Finished,
    /// The observer ended the run; [`Run::resume`] goes on with it.
    Interrupted,
}

/// A training run and its folder.
pub struct Run {
    /// How it trains.
    pub settings: Settings,
    folder: PathBuf,
    card: Card,
    progress: Progress,
    network: DenseNet,
    backprop: Backprop<f32>,
    carried: Carried,
    log: Log,
    saved: Instant,
}

/// What [`RESUME`] holds beside arenas.
#[derive(Serialize, Deserialize)]
struct State {
    settings: Settings,
    progress: Progress,
}

impl Run {
    /// Begins a run of `network` in `folder`, which is made if need be. `card` is what its weight files will say.
    ///
    /// # Errors
    /// Settings that are wrong, a folder that holds a run already or that cannot be written to.
    pub fn start(folder: &Path, card: Card, network: DenseNet, settings: Settings) -> Result<Self> {
        settings.validate()?;
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        if folder.join(RESUME).exists() {
            return Err(Error::format(folder, "holds a training run already; resume it or choose another folder"));
        }
        let carried = Carried::new(&settings, &network);
        let mut run = Self::assemble(folder, card, network, settings, carried, Progress::default())?;
        run.save()?;
        Ok(run)
    }

    /// Takes up the run in `folder` where it was last saved.
    ///
    /// # Errors
    /// A folder without a run, or a damaged file.
    pub fn resume(folder: &Path) -> Result<Self> {
        let mut reader = Reader::open(&folder.join(RESUME))?;
        let card = reader.card()?;
        let architecture = Architecture::new(&card.config)?;
        let State { settings, progress } = reader.state()?;
        let weights = reader.weights(&architecture)?;
        let network = DenseNet::from_arenas(&card.config, weights.parameters, weights.running)?;
        let carried = Carried::read(&settings, progress.step, &network, &mut reader)?;
        Self::assemble(folder, card, network, settings, carried, progress)
    }

    fn assemble(
        folder: &Path,
        card: Card,
        network: DenseNet,
        settings: Settings,
        carried: Carried,
        progress: Progress,
    ) -> Result<Self> {
        let log = Log::open(folder.join(LOG), &progress)?;
        let backprop = Backprop::new(&network);
        let (folder, saved) = (folder.to_path_buf(), Instant::now());
        Ok(Self { settings, folder, card, progress, network, backprop, carried, log, saved })
    }

    /// What its weight files say.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Trains until all epochs are done, `max_steps` is reached or `observer` ends it, and saves.
    ///
    /// # Errors
    /// Settings that are wrong, a loss or weights that are not finite (nothing is saved then), a picture that cannot be
    /// read, a file that cannot be written.
    pub fn train(&mut self, train: &Split, test: &Split, observer: &mut dyn Observer) -> Result<Outcome> {
        // They may come from a file, or have been changed since.
        self.settings.validate()?;
        while self.progress.epoch < self.settings.epochs {
            let begun = Instant::now();
            let stopped = self.steps(train, observer)?;
            let evaluation = match stopped {
                None => self.evaluate(test, observer)?,
                Some(_) => None,
            };
            self.progress.seconds += begun.elapsed().as_secs_f64();
            let Some(evaluation) = evaluation else {
                self.save()?;
                return Ok(stopped.unwrap_or(Outcome::Interrupted));
            };
            self.finish_epoch(&evaluation, observer)?;
        }
        Ok(Outcome::Finished)
    }

    /// Takes the steps that are left of the epoch; an outcome where the run ends within it.
    fn steps(&mut self, train: &Split, observer: &mut dyn Observer) -> Result<Option<Outcome>> {
        let (batch, epoch) = (self.settings.batch, self.progress.epoch);
        let steps = train.len().div_ceil(batch);
        if self.limit_reached() && self.progress.epoch_step < steps {
            return Ok(Some(Outcome::Finished));
        }
        let (card, augment) = (self.card.clone(), self.settings.augment);
        let source = Source {
            split: train,
            preprocessing: card.preprocessing()?,
            augment,
            seed: self.seed("augment", epoch as u64),
        };
        let order = self.order(train.len());
        let left = &order[(self.progress.epoch_step * batch).min(order.len())..];
        source.for_each(left, batch, |batch| {
            let images = batch.labels.len();
            let report = self.step(batch, (steps * self.settings.epochs) as u64)?;
            self.log.write(&report)?;
            if observer.step(&report, images).is_break() {
                return Ok(ControlFlow::Break(Outcome::Interrupted));
            }
            if self.limit_reached() && self.progress.epoch_step < steps {
                return Ok(ControlFlow::Break(Outcome::Finished));
            }
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save()?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn limit_reached(&self) -> bool {
        self.settings.max_steps.is_some_and(|limit| self.progress.step >= limit)
    }

    /// One step of a run of `steps` in all.
    fn step(&mut self, batch: Batch, steps: u64) -> Result<StepReport> {
        let lr = self.settings.schedule.rate(self.settings.lr, self.progress.step, steps);
        let label_smoothing = self.settings.label_smoothing;
        let (dropout_seed, memory) = (self.seed("dropout", self.progress.step), self.settings.memory);
        let options = StepOptions { label_smoothing, dropout_seed, memory, profile: None };
        let (images, parts) = (batch.images.view(), self.settings.accumulate);
        let outcome = self.backprop.run_in_parts(&mut self.network, images, &batch.labels, &options, parts)?;
        let progress = &mut self.progress;
        if !outcome.loss.is_finite() {
            return Err(Error::Diverged { step: progress.step + 1, lr, what: format!("the loss is {}", outcome.loss) });
        }
        progress.step += 1;
        self.carried.step(lr, progress.step, &mut self.network, self.backprop.gradients());
        progress.epoch_step += 1;
        progress.images += batch.labels.len() as u64;
        progress.loss += outcome.loss * batch.labels.len() as f64;
        let rows = outcome.logits.rows().into_iter().zip(&batch.labels);
        progress.correct += rows.filter(|(row, label)| ranking(*row)[0] == **label as usize).count() as u64;
        Ok(StepReport { step: progress.step, epoch: progress.epoch + 1, loss: outcome.loss, lr })
    }

    fn evaluate(&mut self, test: &Split, observer: &mut dyn Observer) -> Result<Option<Evaluation>> {
        let progress = |images| observer.evaluated(images);
        self.averaged(|run| evaluate(&run.network, test, run.card.preprocessing()?, run.settings.batch, progress))
    }

    /// Does `work` while the network has the values that are evaluated and saved: their average, where one is kept.
    fn averaged<R>(&mut self, work: impl FnOnce(&Self) -> R) -> R {
        self.carried.exchange(&mut self.network);
        let result = work(self);
        self.carried.exchange(&mut self.network);
        result
    }

    fn finish_epoch(&mut self, evaluation: &Evaluation, observer: &mut dyn Observer) -> Result<()> {
        let done = &self.progress;
        let better = done.best_top1.is_none_or(|best| evaluation.top1 > best);
        let report = EpochReport {
            epoch: done.epoch + 1,
            train_loss: done.loss / done.images as f64,
            train_top1: done.correct as f64 / done.images as f64,
            test_loss: evaluation.loss,
            test_top1: evaluation.top1,
            seconds: done.seconds,
        };
        let best_top1 = if better { Some(evaluation.top1) } else { done.best_top1 };
        self.progress = Progress { epoch: done.epoch + 1, step: done.step, best_top1, ..Progress::default() };
        self.log.write(&report)?;
        self.prepare_save()?;
        if better {
            // Before the state that says so: a kill between the two repeats the epoch's evaluation and this file.
            self.averaged(|run| run.contents().save(&run.folder.join(BEST)))?;
        }
        self.save()?;
        observer.epoch(&report);
        Ok(())
    }

    /// Brings the card up to date and refuses weights that are no longer finite.
    fn prepare_save(&mut self) -> Result<()> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !finite(self.network.parameters()) || !finite(self.network.running()) {
            let what = "the weights are not finite".into();
            return Err(Error::Diverged { step: self.progress.step, lr: self.settings.lr, what });
        }
        self.card.epoch = self.progress.epoch;
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.prepare_save()?;
        let state = State { settings: self.settings.clone(), progress: self.progress.clone() };
        let carried = self.carried.groups(self.network.architecture());
        self.contents().save_training(&self.folder.join(RESUME), &carried, &state)?;
        self.averaged(|run| run.contents().save(&run.folder.join(LAST)))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn contents(&self) -> Contents<'_> {
        Contents {
            card: &self.card,
            architecture: self.network.architecture(),
            parameters: self.network.parameters(),
            running: self.network.running(),
        }
    }

    /// The order of the epoch under way (Fisher and Yates).
    fn order(&self, pictures: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..pictures).collect();
        if self.settings.shuffle {
            let random = Stream::new(self.seed("shuffle", self.progress.epoch as u64), 0);
            for i in (1..pictures).rev() {
                order.swap(i, (random.bits(i as u64) % (i as u64 + 1)) as usize);
            }
        }
        order
    }

    /// The seed of `number` among those for `purpose`.
    fn seed(&self, purpose: &str, number: u64) -> u64 {
        let purpose = purpose.bytes().fold(0, |name, byte| name << 8 | u64::from(byte));
        Stream::new(self.card.seed, purpose).bits(number)
    }
}

#[cfg(test)]
mod tests;

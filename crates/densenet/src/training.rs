//! Training: the loop over epochs and steps, and runs that survive being killed.
//!
//! Everything random is a function of the run's seed and the number of the epoch or step, so a resumed run gives the
//! same bits as one that was never interrupted.

mod carried;
mod criterion;
pub mod find_lr;
mod fine_tuning;
mod log;
mod progress;
mod reports;
mod seeds;
mod settings;
mod tensorboard;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::batches::{Batch, Source};
use crate::checkpoint::{Card, Contents, Reader};
use crate::data::{Part, Split, Targets, Unreadable};
use crate::evaluation::{Evaluation, check_labels, evaluate};
use crate::network::{Backprop, DenseNet, StepOptions};
use crate::prefetch::prefetch;
use crate::{Architecture, Error, Result};
use carried::Carried;
use criterion::Criterion;
use log::Log;
pub use progress::Progress;
pub use reports::{EpochReport, Measure, Observer, StepReport};
pub use seeds::seed_of;
pub use settings::{Balance, Freeze, Settings};
pub use tensorboard::EventFile;

/// Weights at the end of the last epoch, or at a step within it.
pub const LAST: &str = "last.safetensors";
/// Weights of the epoch with the best result on the held-out pictures.
pub const BEST: &str = "best.safetensors";
/// Weights with everything needed to resume.
pub const RESUME: &str = "resume.safetensors";
/// JSON Lines with one line per step and per epoch.
pub const LOG: &str = "log.jsonl";

/// The file with the weights at the end of a cycle of [`Schedule::Snapshot`](crate::schedule::Schedule), from 1.
pub fn snapshot(cycle: usize) -> String {
    format!("snapshot-{cycle}.safetensors")
}

/// The time between two saves within an epoch.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Why [`Run::train`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs, or the maximum number of steps, are done.
    Finished,
    /// The observer ended the run; [`Run::resume`] continues it.
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

/// The contents of [`RESUME`] besides arenas.
#[derive(Serialize, Deserialize)]
struct State {
    settings: Settings,
    progress: Progress,
}

impl Run {
    /// Starts a run of `network` in `folder`, which is created if necessary. `card` is written into its weight files.
    ///
    /// # Errors
    /// Invalid settings, or a folder that already holds a run or cannot be written to.
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

    /// Continues the run in `folder` from where it was last saved.
    ///
    /// # Errors
    /// A folder without a run, or a damaged file.
    pub fn resume(folder: &Path) -> Result<Self> {
        let mut reader = Reader::open(&folder.join(RESUME))?;
        let card = reader.card()?;
        let architecture = Architecture::new(&card.config)?;
        let State { settings, progress } = reader.state()?;
        let weights = reader.weights(&architecture)?;
        let network = DenseNet::of_weights(&card.config, weights)?;
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

    /// The card that is written into its weight files.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The run's progress.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Trains until all epochs are done, `max_steps` is reached or `observer` ends it, and saves. The best epoch is
    /// chosen by the `held_out` pictures.
    ///
    /// # Errors
    /// Settings, batches or labels with which some step would fail, detected before the first step; a loss or weights
    /// that are not finite (nothing is saved then); a batch in which no picture can be read; a file that cannot be
    /// written.
    pub fn train(&mut self, train: &Split, held_out: &Split, observer: &mut dyn Observer) -> Result<Outcome> {
        // The settings may come from a file, or have been changed in the meantime.
        Self::check(&self.card, &self.settings, train, held_out)?;
        while self.progress.epoch < self.settings.epochs && !self.out_of_patience() {
            let begun = Instant::now();
            let stopped = self.steps(train, observer)?;
            self.progress.stepping += begun.elapsed().as_secs_f64();
            let evaluation = match stopped {
                None => self.evaluate(held_out, observer)?,
                Some(_) => None,
            };
            self.progress.seconds += begun.elapsed().as_secs_f64();
            let Some(evaluation) = evaluation else {
                self.save()?;
                return Ok(stopped.unwrap_or(Outcome::Interrupted));
            };
            self.finish_epoch(&evaluation, held_out.part(), observer)?;
        }
        // Anything that could not be saved before must be saved now.
        self.save()?;
        Ok(Outcome::Finished)
    }

    /// Whether too many epochs have passed without a better one.
    fn out_of_patience(&self) -> bool {
        self.settings.patience.is_some_and(|patience| self.progress.epoch >= self.progress.best_epoch + patience)
    }

    /// Checks that no step of a run of the network of `card` will fail for a reason that can be known before the first.
    ///
    /// # Errors
    /// Invalid settings, labels that are not among the network's classes, or a batch with a single value per channel.
    pub fn check(card: &Card, settings: &Settings, train: &Split, held_out: &Split) -> Result<()> {
        settings.validate()?;
        let (architecture, size) = (Architecture::new(&card.config)?, card.preprocessing()?.size);
        [train, held_out].into_iter().try_for_each(|split| check_labels(split, architecture.config.num_classes))?;
        if matches!(train.targets(), Targets::Labels(_)) {
            settings.validate_multi_label()?;
        }
        let (height, width) = *architecture.block_sizes(size, size)?.last().expect("at least one block");
        if settings.smallest(train.len()) * height * width < 2 {
            return Err(Error::Settings(format!(
                "{} pictures in batches of {} and {} micro-batches: one of these has only one picture, and \
                 {size}x{size} leaves it a single value per channel in the last block, which has no variance; use \
                 larger batches or pictures, or fewer micro-batches",
                train.len(),
                settings.batch,
                settings.accumulate,
            )));
        }
        Ok(())
    }

    /// The minimum memory, in bytes, for a run of the network of `card` on `pictures` training pictures: for a step,
    /// the current batch and the one being prepared, and for parameters, gradients and the optimiser's state.
    ///
    /// # Errors
    /// A card that does not describe a network, or pictures that are too small for it.
    pub fn least_memory(card: &Card, settings: &Settings, pictures: usize) -> Result<usize> {
        let (architecture, size) = (Architecture::new(&card.config)?, card.preprocessing()?.size);
        let batch = settings.batch.min(pictures);
        let images = if settings.freeze == Freeze::Body { batch } else { batch.div_ceil(settings.accumulate) };
        let step = settings.memory.step_bytes(&architecture, [images, size, size])?;
        let values = 2 * batch * card.config.in_channels * size * size + 3 * architecture.num_parameters();
        Ok(step + values * size_of::<f32>())
    }

    /// Takes the remaining steps of the epoch; returns an outcome if the run ends within it.
    fn steps(&mut self, train: &Split, observer: &mut dyn Observer) -> Result<Option<Outcome>> {
        let steps = self.settings.steps(train.len());
        if self.limit_reached() && self.progress.epoch_step < steps {
            return Ok(Some(Outcome::Finished));
        }
        let (card, augment) = (self.card.clone(), self.settings.augment);
        let source = Source {
            split: train,
            preprocessing: card.preprocessing()?,
            augment,
            seed: self.seed("augment", self.progress.epoch as u64),
        };
        let order = self.settings.order(train, self.seed("shuffle", self.progress.epoch as u64));
        let criterion = Criterion::new(&self.settings, train);
        let left = self.progress.epoch_step..steps;
        let left: Vec<&[usize]> = left.map(|step| &order[self.settings.pictures_of(step, train.len())]).collect();
        prefetch(
            left,
            |indices| source.full(indices),
            |batch| {
                let images = batch.indices.len();
                batch.unreadable.iter().for_each(|picture| observer.unreadable(picture));
                self.count_bad(&batch.unreadable, train)?;
                let report = self.step(batch, train, &criterion)?;
                self.log.write(&report).unwrap_or_else(|error| observer.unsaved(&error));
                if observer.step(&report, images).is_break() {
                    return Ok(ControlFlow::Break(Outcome::Interrupted));
                }
                if self.limit_reached() && self.progress.epoch_step < steps {
                    return Ok(ControlFlow::Break(Outcome::Finished));
                }
                if self.saved.elapsed() >= SAVE_EVERY {
                    self.saved = Instant::now();
                    unless_diverged(self.save(), observer)?;
                }
                Ok(ControlFlow::Continue(()))
            },
        )
    }

    /// Counts training pictures that cannot be read.
    ///
    /// # Errors
    /// More of them than the settings allow; the run has been saved by then.
    fn count_bad(&mut self, unreadable: &[Unreadable], train: &Split) -> Result<()> {
        self.progress.unreadable.extend(unreadable.iter().map(|picture| picture.input.clone()));
        let (bad, share) = (self.progress.unreadable.len(), self.settings.max_bad);
        let most = (share * train.len() as f64).ceil() as usize;
        let Some(last) = unreadable.last().filter(|_| bad > most) else { return Ok(()) };
        self.save()?;
        let reason = format!(
            "{}; including it, {bad} of {} training pictures cannot be read, more than the {} % that max_bad allows",
            last.reason,
            train.len(),
            100.0 * share
        );
        Err(Error::format(&last.input, reason))
    }

    fn limit_reached(&self) -> bool {
        self.settings.max_steps.is_some_and(|limit| self.progress.step >= limit)
    }

    /// One step of a run on `train`.
    fn step(&mut self, mut batch: Batch, train: &Split, criterion: &Criterion) -> Result<StepReport> {
        let lr = self.settings.rate(self.progress.step, train.len());
        let (dropout_seed, memory) = (self.seed("dropout", self.progress.step), self.settings.memory);
        let options = StepOptions { loss: criterion.loss(), dropout_seed, memory, ..StepOptions::default() };
        let mut targets = train.targets().dense(&batch.indices, train.classes().len());
        self.settings.augment.mix(&mut batch.images, &mut targets, self.seed("mix", self.progress.step));
        let (images, targets) = (batch.images.view(), targets.view());
        let outcome = self.settings.gradients(&mut self.backprop, &mut self.network, images, targets, &options)?;
        let progress = &mut self.progress;
        if !outcome.loss.is_finite() {
            return Err(Error::Diverged { step: progress.step + 1, lr, what: format!("the loss is {}", outcome.loss) });
        }
        progress.step += 1;
        let rates = self.settings.rates(lr, progress.epoch, self.network.architecture());
        self.carried.step(rates, progress.step, &mut self.network, self.backprop.gradients());
        progress.epoch_step += 1;
        progress.images += batch.indices.len() as u64;
        progress.loss += outcome.loss * batch.indices.len() as f64;
        let (right, of) = criterion.right(outcome.logits.view(), targets);
        progress.correct += right;
        progress.judged += of;
        Ok(StepReport { step: progress.step, epoch: progress.epoch + 1, loss: outcome.loss, lr })
    }

    fn evaluate(&mut self, held_out: &Split, observer: &mut dyn Observer) -> Result<Option<Evaluation>> {
        let progress = |images| observer.evaluated(images);
        let evaluation = self.averaged(|run| {
            evaluate(&run.network, held_out, run.card.preprocessing()?, run.settings.batch, progress)
        })?;
        evaluation
            .iter()
            .flat_map(|evaluation| &evaluation.unreadable)
            .for_each(|picture| observer.unreadable(picture));
        Ok(evaluation)
    }

    /// Does `work` while the network has the values that are evaluated and saved: their average, if one is kept.
    fn averaged<R>(&mut self, work: impl FnOnce(&Self) -> R) -> R {
        self.carried.exchange(&mut self.network);
        let result = work(self);
        self.carried.exchange(&mut self.network);
        result
    }

    fn finish_epoch(&mut self, evaluation: &Evaluation, part: Part, observer: &mut dyn Observer) -> Result<()> {
        let done = &self.progress;
        let better = done.is_better(evaluation.score(), evaluation.loss);
        let report = EpochReport {
            epoch: done.epoch + 1,
            train_loss: done.loss / done.images as f64,
            train_accuracy: done.correct as f64 / done.judged as f64,
            part,
            held_out_loss: evaluation.loss,
            held_out_score: evaluation.score(),
            measure: if evaluation.top1.is_some() { Measure::Top1 } else { Measure::MeanAuc },
            unreadable: done.unreadable.len(),
            images_per_s: done.images as f64 / done.stepping,
            seconds: done.seconds,
        };
        self.log.write(&report).unwrap_or_else(|error| observer.unsaved(&error));
        self.progress = self.progress.next_epoch();
        self.prepare_save()?;
        // Before the state that records it: a kill between the two repeats the epoch's evaluation and this file.
        if better && self.keep(BEST, observer) {
            self.progress.best = Some(evaluation.score());
            self.progress.best_loss = Some(evaluation.loss);
            self.progress.best_epoch = self.progress.epoch;
        }
        if let Some(cycle) = self.settings.cycle_ended(self.progress.epoch) {
            self.keep(&snapshot(cycle), observer);
        }
        unless_diverged(self.save(), observer)?;
        observer.epoch(&report);
        Ok(())
    }

    /// Saves the weights, as they are evaluated, to the file `name`; returns whether that succeeded.
    fn keep(&mut self, name: &str, observer: &mut dyn Observer) -> bool {
        let saved = self.averaged(|run| run.contents().save(&run.folder.join(name)));
        saved.inspect_err(|error| observer.unsaved(error)).is_ok()
    }

    /// Updates the card and rejects weights that are no longer finite.
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
        self.network.contents(&self.card)
    }

    /// The seed of `number` among those for `purpose`.
    fn seed(&self, purpose: &str, number: u64) -> u64 {
        seed_of(self.card.seed, purpose, number)
    }
}

/// Reports to `observer` what could not be saved; weights that are not finite end a run.
fn unless_diverged(saved: Result<()>, observer: &mut dyn Observer) -> Result<()> {
    match saved {
        Err(error @ Error::Diverged { .. }) => Err(error),
        Err(error) => {
            observer.unsaved(&error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests;

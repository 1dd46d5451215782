//! A run's `log.jsonl`, read line by line and thinned on the way, so that a log of any length takes little memory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::thinned::Thinned;

/// What a log says.
#[derive(Debug, Default)]
pub struct Log {
    /// Mean loss of the steps' batches, by epochs done: 1.5 is in the middle of the second.
    pub loss: Vec<[f64; 2]>,
    /// Learning rate, likewise.
    pub lr: Vec<[f64; 2]>,
    /// The finished epochs.
    pub epochs: Vec<Epoch>,
    /// Steps done.
    pub steps: u64,
    /// Numbers that are missing, or not finite.
    pub not_finite: u64,
    /// Lines that do not belong in a log.
    pub unreadable: u64,
}

/// An epoch's line.
#[derive(Clone, Debug, Default)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: f64,
    /// Figures of the training pictures.
    pub train: Figures,
    /// Figures of the held-out pictures.
    pub held_out: Figures,
    /// What those are: `validation` or `test`.
    pub part: &'static str,
    /// Time that it took.
    pub seconds: Option<f64>,
    /// Training pictures per second.
    pub images_per_s: Option<f64>,
    /// Training pictures that could not be read so far.
    pub unreadable: u64,
}

/// Figures of some pictures; each is finite.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Mean loss.
    pub loss: Option<f64>,
    /// Share of them that were classified correctly, or of their labels that were right; from 0 to 1.
    pub top1: Option<f64>,
    /// Mean area under the ROC curve of the labels; from 0 to 1.
    pub auc: Option<f64>,
}

impl Figures {
    /// What the best epoch is chosen by.
    pub fn score(&self) -> Option<f64> {
        self.auc.or(self.top1)
    }
}

/// Any line: those of steps have a step.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    step: Option<u64>,
    epoch: Option<u64>,
    loss: Option<f64>,
    lr: Option<f64>,
    train_loss: Option<f64>,
    #[serde(alias = "train_accuracy")]
    train_top1: Option<f64>,
    train_auc: Option<f64>,
    val_loss: Option<f64>,
    val_top1: Option<f64>,
    val_auc: Option<f64>,
    test_loss: Option<f64>,
    test_top1: Option<f64>,
    test_auc: Option<f64>,
    seconds: Option<f64>,
    images_per_s: Option<f64>,
    unreadable: u64,
}

impl Log {
    /// Reads a log. A last line without an end is still being written, and is left out.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let mut reader = BufReader::new(File::open(path).with_context(name)?);
        let (mut log, mut loss, mut lr) = (Self::default(), Thinned::default(), Thinned::default());
        let (mut text, mut steps_per_epoch) = (Vec::new(), 1.0);
        while reader.read_until(b'\n', &mut text).with_context(name)? > 0 {
            match serde_json::from_slice::<Line>(&text) {
                _ if !text.ends_with(b"\n") => {}
                Ok(Line { step: Some(step), loss: value, lr: rate, .. }) => {
                    log.steps = step;
                    for (curve, value) in [(&mut loss, value), (&mut lr, rate)] {
                        match value {
                            Some(value) => curve.add(step as f64, value),
                            None => log.not_finite += 1,
                        }
                    }
                }
                Ok(line @ Line { epoch: Some(1..), .. }) => {
                    let epoch = line.into_epoch();
                    log.not_finite += epoch.not_finite();
                    steps_per_epoch = (log.steps.max(1) as f64) / epoch.number;
                    log.epochs.push(epoch);
                }
                _ => log.unreadable += 1,
            }
            text.clear();
        }
        let by_epochs = |curve: Thinned| curve.points().into_iter().map(|[x, y]| [x / steps_per_epoch, y]).collect();
        (log.loss, log.lr) = (by_epochs(loss), by_epochs(lr));
        Ok(log)
    }

    /// Finished epochs.
    pub fn epochs_done(&self) -> usize {
        self.epochs.last().map_or(0, |epoch| epoch.number as usize)
    }

    /// Whether the curves go by epochs; before the first is done they go by steps.
    pub fn by_epochs(&self) -> bool {
        !self.epochs.is_empty()
    }

    /// The epoch that did best on the held-out pictures; among equals the one with the lowest loss, and among these the
    /// first.
    pub fn best(&self) -> Option<&Epoch> {
        let rank = |epoch: &Epoch| Some((epoch.held_out.score()?, -epoch.held_out.loss.unwrap_or(f64::INFINITY)));
        let scored = self.epochs.iter().filter(|epoch| epoch.held_out.score().is_some());
        scored.reduce(|best, epoch| if rank(epoch) > rank(best) { epoch } else { best })
    }

    /// The figure `of` the epochs that have it, by epochs done.
    pub fn curve(&self, of: impl Fn(&Epoch) -> Option<f64>) -> Vec<[f64; 2]> {
        let points = self.epochs.iter().filter_map(|epoch| Some([epoch.number, of(epoch)?]));
        super::thinned::thinned(points)
    }

    /// Time that all epochs took.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().filter_map(|epoch| epoch.seconds).sum()
    }
}

impl Line {
    fn into_epoch(self) -> Epoch {
        let validation = self.val_loss.is_some() || self.val_top1.is_some() || self.val_auc.is_some();
        let held_out = match validation {
            true => Figures { loss: self.val_loss, top1: self.val_top1, auc: self.val_auc },
            false => Figures { loss: self.test_loss, top1: self.test_top1, auc: self.test_auc },
        };
        Epoch {
            number: self.epoch.unwrap_or(1) as f64,
            train: Figures { loss: self.train_loss, top1: self.train_top1, auc: self.train_auc },
            held_out,
            part: if validation { "validation" } else { "test" },
            seconds: self.seconds,
            images_per_s: self.images_per_s,
            unreadable: self.unreadable,
        }
    }
}

impl Epoch {
    /// The losses that every epoch has, but this one lacks.
    fn not_finite(&self) -> u64 {
        [self.train.loss, self.held_out.loss].iter().filter(|loss| loss.is_none()).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn log_of(text: &str) -> Log {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, text).unwrap();
        Log::read(&path).unwrap()
    }

    #[test]
    fn steps_and_epochs() {
        let log = log_of(concat!(
            "{\"step\":1,\"epoch\":1,\"loss\":2.0,\"lr\":0.1}\n{\"step\":2,\"epoch\":1,\"loss\":1.0,\"lr\":0.1}\n",
            "{\"epoch\":1,\"train_loss\":1.5,\"train_top1\":0.5,\"val_loss\":1.2,\"val_top1\":0.7,\"seconds\":3.0}\n",
            "{\"step\":3,\"epoch\":2,\"loss\":0.5,\"lr\":0.01}\n",
            "{\"epoch\":2,\"train_loss\":0.9,\"train_top1\":0.8,\"val_loss\":1.1,\"val_top1\":0.7,\"seconds\":4.5}\n",
            "{\"step\":5,\"epo",
        ));
        assert_eq!(log.lr, [[1.0 / 1.5, 0.1], [2.0 / 1.5, 0.1], [2.0, 0.01]]);
        assert_eq!((log.steps, log.not_finite, log.unreadable, log.seconds()), (3, 0, 0, 7.5));
        assert_eq!(log.best().unwrap().number, 2.0, "of equals the one of the lowest loss");
        assert_eq!(
            (log.epochs[1].part, log.curve(|epoch| epoch.train.top1)),
            ("validation", vec![[1.0, 0.5], [2.0, 0.8]])
        );
    }

    #[test]
    fn logs_without_a_validation_part_are_of_the_test_part() {
        let log = log_of("{\"epoch\":1,\"train_loss\":1.5,\"train_top1\":0.5,\"test_loss\":1.2,\"test_top1\":0.7}\n");
        assert_eq!((log.epochs[0].part, log.epochs[0].held_out.top1), ("test", Some(0.7)));
    }

    #[test]
    fn numbers_that_are_not_finite_and_lines_that_are_none_are_counted() {
        let log = log_of(concat!(
            "{\"step\":1,\"epoch\":1,\"loss\":null,\"lr\":0.1}\n{\"step\":2,\"epoch\":1,\"loss\":NaN,\"lr\":0.1}\n",
            "\n[]\n{\"epoch\":0}\n{\"epoch\":1,\"train_loss\":null,\"val_loss\":0.5}\n{\"step\":1e99}\n\u{1}\n",
        ));
        assert_eq!((log.steps, log.epochs.len(), log.not_finite, log.unreadable), (1, 1, 2, 6));
        assert_eq!((log.loss.len(), log.lr.len(), log.best().is_none()), (0, 1, true));
    }

    #[test]
    fn a_log_of_many_steps_becomes_a_few_hundred_points() {
        let mut text = String::new();
        for step in 1..=200_000 {
            writeln!(text, "{{\"step\":{step},\"epoch\":1,\"loss\":0.25,\"lr\":0.1}}").unwrap();
        }
        let log = log_of(&text);
        assert!(log.loss.len() <= 400 && log.loss.len() >= 200 && log.steps == 200_000);
        assert!(log.loss.iter().all(|point| point[1] == 0.25));
    }
}

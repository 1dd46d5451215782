//! What a run tells while it goes on: to its log, and to whoever observes it.

use std::ops::ControlFlow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::Error;
use crate::data::{Part, Unreadable};

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

/// What epochs are compared by; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Of classes, the share of the pictures put in their class.
    Top1,
    /// Of labels, the mean area under the ROC curve.
    MeanAuc,
}

/// An epoch's line in the log. What is of the held-out part is named after it: `val_loss`, and `val_top1` beside `train_top1`,
/// or of labels `val_auc` beside `train_accuracy`.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Share of the pictures that were put in their class, or of the known labels that were told rightly, during the epoch's
    /// steps; from 0 to 1.
    pub train_accuracy: f64,
    /// What the held-out pictures are scored by.
    pub measure: Measure,
    /// What the held-out pictures are of their data set.
    pub part: Part,
    /// Mean loss on the held-out pictures after the epoch.
    pub held_out_loss: f64,
    /// The [measure](Self::measure) of the held-out pictures after the epoch; from 0 to 1.
    pub held_out_score: f64,
    /// Training pictures that could not be read so far.
    pub unreadable: usize,
    /// Training pictures a second, reading them included.
    pub images_per_s: f64,
    /// Time that steps and evaluation took.
    pub seconds: f64,
}

impl Serialize for EpochReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (train, held_out) = match self.measure {
            Measure::Top1 => ("train_top1", "top1"),
            Measure::MeanAuc => ("train_accuracy", "auc"),
        };
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("epoch", &self.epoch)?;
        line.serialize_entry("train_loss", &self.train_loss)?;
        line.serialize_entry(train, &self.train_accuracy)?;
        line.serialize_entry(&format!("{}_loss", self.part), &self.held_out_loss)?;
        line.serialize_entry(&format!("{}_{held_out}", self.part), &self.held_out_score)?;
        if self.unreadable > 0 {
            line.serialize_entry("unreadable", &self.unreadable)?;
        }
        line.serialize_entry("images_per_s", &self.images_per_s)?;
        line.serialize_entry("seconds", &self.seconds)?;
        line.end()
    }
}

/// Who hears of a run and may end it; a run that is ended is saved first.
pub trait Observer {
    /// A step of `images` pictures is done.
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()>;
    /// So many held-out pictures are evaluated.
    fn evaluated(&mut self, images: u64) -> ControlFlow<()>;
    /// An epoch is done.
    fn epoch(&mut self, epoch: &EpochReport);
    /// A picture cannot be read. In training the next one of its batch is taken once more in its place, in the evaluation
    /// it is left out; every epoch that meets it tells it.
    fn unreadable(&mut self, _picture: &Unreadable) {}
    /// Something could not be written, such as on a full disk. The run goes on, and tries again at its next save.
    fn unsaved(&mut self, _error: &Error) {}
}

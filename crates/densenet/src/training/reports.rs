//! What a run reports: to its log, and to its observer.

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

/// The measure by which epochs are compared; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// For classes, the share of correctly classified pictures.
    Top1,
    /// For labels, the mean area under the ROC curve.
    MeanAuc,
}

/// An epoch's line in the log. Figures for the held-out part are named after it: `val_loss`, and `val_top1` next to
/// `train_top1`, or for labels `val_auc` next to `train_accuracy`.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Share of correctly classified pictures, or of correct known labels, during the epoch's steps; from 0 to 1.
    pub train_accuracy: f64,
    /// The measure of the held-out pictures.
    pub measure: Measure,
    /// Which part of their data set the held-out pictures are.
    pub part: Part,
    /// Mean loss on the held-out pictures after the epoch.
    pub held_out_loss: f64,
    /// The [measure](Self::measure) of the held-out pictures after the epoch; from 0 to 1.
    pub held_out_score: f64,
    /// Number of training pictures that could not be read so far.
    pub unreadable: usize,
    /// Training pictures per second, including reading them.
    pub images_per_s: f64,
    /// Time for steps and evaluation, in seconds.
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

/// Observes a run and may end it; a run that is ended is saved first.
pub trait Observer {
    /// A step on `images` pictures is done.
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()>;
    /// This many held-out pictures have been evaluated.
    fn evaluated(&mut self, images: u64) -> ControlFlow<()>;
    /// An epoch is done.
    fn epoch(&mut self, epoch: &EpochReport);
    /// A picture cannot be read. In training, the next one of its batch is used twice in its place; in the evaluation
    /// it is left out. It is reported again in every epoch that encounters it.
    fn unreadable(&mut self, _picture: &Unreadable) {}
    /// Something could not be written, e.g. because the disk is full. The run continues, and tries again at its next
    /// save.
    fn unsaved(&mut self, _error: &Error) {}
}

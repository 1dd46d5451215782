//! The progress of a run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of epochs done and evaluated.
    pub epoch: usize,
    /// Number of steps done, over all epochs.
    pub step: u64,
    /// Number of steps done in the current epoch.
    pub epoch_step: usize,
    /// The best [measure](super::Measure) of the held-out pictures so far.
    #[serde(alias = "best_top1")]
    pub best: Option<f64>,
    /// The loss of the held-out pictures in that epoch.
    #[serde(default)]
    pub(super) best_loss: Option<f64>,
    /// The best epoch so far, from 1.
    #[serde(default)]
    pub best_epoch: usize,
    /// The training pictures that could not be read, over all epochs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unreadable: BTreeSet<String>,
    /// Sum of the losses of the pictures seen in the current epoch.
    pub(super) loss: f64,
    /// Correctly classified pictures, or correct labels, in the current epoch.
    pub(super) correct: u64,
    /// Out of how many.
    #[serde(default)]
    pub(super) judged: u64,
    /// Number of pictures seen in the current epoch.
    pub(super) images: u64,
    /// Time spent on the steps of the current epoch, in seconds.
    #[serde(default)]
    pub(super) stepping: f64,
    /// Time spent on the current epoch, in seconds.
    pub(super) seconds: f64,
}

impl Progress {
    /// The progress at the beginning of the next epoch.
    pub(super) fn next_epoch(&self) -> Self {
        let Self { epoch, step, best, best_loss, best_epoch, ref unreadable, .. } = *self;
        let unreadable = unreadable.clone();
        Self { epoch: epoch + 1, step, best, best_loss, best_epoch, unreadable, ..Self::default() }
    }

    /// Whether a score and loss on the held-out pictures are better than the best so far. If scores are equal, as is
    /// common with few pictures, the lower loss is better.
    pub(super) fn is_better(&self, score: f64, loss: f64) -> bool {
        let lower = self.best_loss.is_some_and(|least| loss < least);
        self.best.is_none_or(|best| score > best || score == best && lower)
    }
}

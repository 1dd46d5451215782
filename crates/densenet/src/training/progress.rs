//! How far a run has come.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs done and evaluated.
    pub epoch: usize,
    /// Steps done, over all epochs.
    pub step: u64,
    /// Steps done of the epoch under way.
    pub epoch_step: usize,
    /// The best [measure](super::Measure) of the held-out pictures so far.
    #[serde(alias = "best_top1")]
    pub best: Option<f64>,
    /// The loss of the held-out pictures in that epoch.
    #[serde(default)]
    pub(super) best_loss: Option<f64>,
    /// The epoch, from 1, that was the best so far.
    #[serde(default)]
    pub best_epoch: usize,
    /// The training pictures that could not be read, over all epochs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unreadable: BTreeSet<String>,
    /// Sum of the losses of the pictures seen in the epoch under way.
    pub(super) loss: f64,
    /// Pictures put in their class, or labels told rightly, in the epoch under way.
    pub(super) correct: u64,
    /// Of how many.
    #[serde(default)]
    pub(super) judged: u64,
    /// Pictures seen in the epoch under way.
    pub(super) images: u64,
    /// Time spent on the steps of the epoch under way, in seconds.
    #[serde(default)]
    pub(super) stepping: f64,
    /// Time spent on the epoch under way, in seconds.
    pub(super) seconds: f64,
}

impl Progress {
    /// That at the beginning of the next epoch.
    pub(super) fn next_epoch(&self) -> Self {
        let Self { epoch, step, best, best_loss, best_epoch, ref unreadable, .. } = *self;
        let unreadable = unreadable.clone();
        Self { epoch: epoch + 1, step, best, best_loss, best_epoch, unreadable, ..Self::default() }
    }

    /// Whether held-out pictures of that measure and loss are better than the best so far: of equal measures, as few pictures
    /// often have, the lower loss is.
    pub(super) fn is_better(&self, score: f64, loss: f64) -> bool {
        let lower = self.best_loss.is_some_and(|least| loss < least);
        self.best.is_none_or(|best| score > best || score == best && lower)
    }
}

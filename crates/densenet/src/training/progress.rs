//! How far a run has come.

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
    /// The best share of the held-out pictures put in their class so far.
    pub best_top1: Option<f64>,
    /// Sum of the losses of the pictures seen in the epoch under way.
    pub(super) loss: f64,
    /// Pictures put in their class in the epoch under way.
    pub(super) correct: u64,
    /// Pictures seen in the epoch under way.
    pub(super) images: u64,
    /// Time spent on the epoch under way, in seconds.
    pub(super) seconds: f64,
}

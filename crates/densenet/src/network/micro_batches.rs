//! Steps in micro-batches: the gradients of a batch larger than what is in memory at a time.

use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use ndarray::{Array2, ArrayView4, Axis, s};

use super::backprop::{Backprop, StepOptions, StepOutcome};
use super::densenet::DenseNet;
use super::step_targets::StepTargets;
use super::sum::add_scaled;
use crate::Result;

impl<T: Real> Backprop<T> {
    /// Runs [`Backprop::run`] on `parts` micro-batches of `images`, as equal as possible, one after the other. Loss and
    /// gradients are means over all targets. Batch-norms use the statistics of each micro-batch and update the running
    /// statistics with each, as usual, so the result equals that of one batch only if nothing depends on them.
    ///
    /// # Errors
    /// Those of [`Backprop::run`], for the batch and for each micro-batch.
    pub fn run_in_parts<'a>(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        targets: impl Into<StepTargets<'a, T>>,
        options: &StepOptions<'_>,
        parts: usize,
    ) -> Result<StepOutcome<T>> {
        let count = images.dim().0;
        let parts = parts.clamp(1, count.max(1));
        let grid = network.check(&images)?;
        let targets = targets.into().checked(network.architecture(), grid)?;
        if parts == 1 {
            return self.run_checked(network, images, &targets, options);
        }
        let classes = network.architecture().config.num_classes;
        let whole = options.loss.weight(&targets, classes);
        self.accumulated.clear();
        self.accumulated.resize(self.gradients.len(), T::zero());
        let mut outcome = StepOutcome { loss: 0.0, logits: Array2::zeros((0, classes)) };
        for part in 0..parts {
            let range = part * count / parts..(part + 1) * count / parts;
            let targets = &targets[range.start * classes..range.end * classes];
            let share = if whole > 0.0 { options.loss.weight(targets, classes) / whole } else { 0.0 };
            let options = StepOptions { dropout_seed: dropout_seed(options.dropout_seed, part), ..*options };
            let here = self.run_checked(network, images.slice(s![range, .., .., ..]), targets, &options)?;
            add_scaled(&mut self.accumulated, &self.gradients, T::of(share));
            outcome.loss += share * here.loss;
            outcome.logits.append(Axis(0), here.logits.view()).expect("rows of as many classes");
        }
        std::mem::swap(&mut self.accumulated, &mut self.gradients);
        Ok(outcome)
    }
}

/// The seed of a micro-batch: no two draw the same masks.
fn dropout_seed(seed: u64, part: usize) -> u64 {
    if part == 0 { seed } else { Stream::new(seed, u64::MAX).bits(part as u64) }
}

//! Steps in micro-batches: the gradients of a batch that is larger than what is in memory at a time.

use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use ndarray::{Array2, ArrayView4, Axis, s};

use super::backprop::{Backprop, StepOptions, StepOutcome, check_labels};
use super::densenet::DenseNet;
use super::sum::add_scaled;
use crate::Result;

impl<T: Real> Backprop<T> {
    /// [`Backprop::run`] on `parts` micro-batches of `images`, as even as they can be, one after the other. Loss and
    /// gradients are means over all pictures. Batch-norms take the statistics of each micro-batch and move the running
    /// ones with each, as everywhere else, so the result is that of one batch only where none depends on them.
    ///
    /// # Errors
    /// Those of [`Backprop::run`], of the batch and of each micro-batch.
    pub fn run_in_parts(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        labels: &[u32],
        options: &StepOptions<'_>,
        parts: usize,
    ) -> Result<StepOutcome<T>> {
        let count = images.dim().0;
        let parts = parts.clamp(1, count.max(1));
        if parts == 1 {
            return self.run(network, images, labels, options);
        }
        check_labels(network.architecture(), network.check(&images)?, labels)?;
        self.accumulated.clear();
        self.accumulated.resize(self.gradients.len(), T::zero());
        let mut outcome =
            StepOutcome { loss: 0.0, logits: Array2::zeros((0, network.architecture().config.num_classes)) };
        for part in 0..parts {
            let range = part * count / parts..(part + 1) * count / parts;
            let share = range.len() as f64 / count as f64;
            let options = StepOptions { dropout_seed: dropout_seed(options.dropout_seed, part), ..*options };
            let here = self.run(network, images.slice(s![range.clone(), .., .., ..]), &labels[range], &options)?;
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

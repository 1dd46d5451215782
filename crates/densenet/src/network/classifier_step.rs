//! Training steps for the classifier alone, with a fixed body.

use densenet_kernels::Real;
use ndarray::{Array2, ArrayView4};

use super::backprop::{Backprop, StepOptions, StepOutcome};
use super::densenet::DenseNet;
use super::pool::in_pool;
use super::pre_activation::BackwardArenas;
use super::step_targets::StepTargets;
use crate::Result;
use crate::profile::Probe;

impl<T: Real> Backprop<T> {
    /// [`Backprop::run`] for the classifier alone: the body runs as in inference, its batch-norms with running
    /// statistics that are not updated, without dropout, and its gradients are 0.
    ///
    /// # Errors
    /// Those of [`Backprop::run`], except for batches with a single value per channel.
    pub fn run_classifier<'a>(
        &mut self,
        network: &DenseNet<T>,
        images: ArrayView4<'_, T>,
        targets: impl Into<StepTargets<'a, T>>,
        options: &StepOptions<'_>,
    ) -> Result<StepOutcome<T>> {
        let (arch, grid) = (network.architecture(), network.check(&images)?);
        let targets = targets.into().checked(arch, grid)?;
        let features = network.pooled(images)?.into_raw_vec_and_offset().0;
        let (parameters, probe) = (network.parameters(), Probe::new(options.profile, "head"));
        let classes = arch.config.num_classes;
        let (loss, logits) = in_pool(|| {
            let logits = self.head.classify(arch, parameters, features, probe);
            let (loss, dlogits) = options.loss.evaluate(&logits, &targets, classes);
            self.classifier_backward(network, &dlogits, probe);
            (loss.f64(), logits)
        });
        let logits = Array2::from_shape_vec((grid.images, classes), logits).expect("one logit an image and class");
        Ok(StepOutcome { loss, logits })
    }

    /// Propagates the logits' gradient `dlogits` to the classifier's parameters; all other gradients are 0.
    pub(super) fn classifier_backward(&mut self, network: &DenseNet<T>, dlogits: &[T], probe: Probe<'_>) {
        self.gradients.fill(T::zero());
        let mut arenas = BackwardArenas { parameters: network.parameters(), gradients: &mut self.gradients, probe };
        self.head.classifier_backward(network.architecture(), &mut arenas, dlogits);
    }
}

//! The head in training, forward and backward: the last pre-activation, global pooling, and the linear layer.

use densenet_kernels::batch_norm::NormGradient;
use densenet_kernels::{Real, head, linear};

use super::pre_activation::{BackwardArenas, ForwardArenas, store_norm_gradient};
use super::statistics::Reads;
use crate::Architecture;
use crate::profile::Pass;

/// What the head keeps for the backward pass.
#[derive(Debug)]
pub(super) struct HeadState<T> {
    /// `(N, C)`: means over the pixels.
    pooled: Vec<T>,
}

impl<T: Real> HeadState<T> {
    pub fn new() -> Self {
        Self { pooled: Vec::new() }
    }

    /// Logits `(N, classes)`.
    pub fn forward(&mut self, arch: &Architecture, arenas: &mut ForwardArenas<'_, T>, reads: &Reads<'_, T>) -> Vec<T> {
        let (images, norm, classes) = (reads.maps.grid().images, &arch.final_norm, arch.config.num_classes);
        reads.update_running(norm, arenas.running);
        let parameters = arenas.parameters;
        let (affine, relu) = (reads.affine(norm, parameters), arch.config.final_relu);
        self.pooled.resize(images * norm.channels, T::zero());
        let pool = || head::forward(&reads.maps, affine.affine(), relu, &mut self.pooled);
        arenas.probe.time(Pass::Rest, 0, pool);
        let mut logits = vec![T::zero(); images * classes];
        arenas.probe.time(Pass::Forward, linear_macs(arch, images), || {
            let weights = linear::pack(&parameters[arch.classifier_weight.clone()], classes);
            linear::forward(&self.pooled, &weights, &parameters[arch.classifier_bias.clone()], &mut logits);
        });
        logits
    }

    /// Takes the logits' gradient `dlogits` to the head's parameters and to `dx`, the gradient of the maps that it read.
    pub fn backward(
        &self,
        arch: &Architecture,
        arenas: &mut BackwardArenas<'_, T>,
        reads: &Reads<'_, T>,
        dlogits: &[T],
        dx: &mut [T],
    ) -> NormGradient<T> {
        let (images, norm, classes) = (reads.maps.grid().images, &arch.final_norm, arch.config.num_classes);
        let BackwardArenas { parameters, gradients, probe } = arenas;
        probe.time(Pass::WeightGradient, linear_macs(arch, images), || {
            let mut db = vec![T::zero(); classes];
            linear::backward_weights(&self.pooled, dlogits, &mut gradients[arch.classifier_weight.clone()], &mut db);
            gradients[arch.classifier_bias.clone()].copy_from_slice(&db);
        });
        let mut dpooled = vec![T::zero(); self.pooled.len()];
        probe.time(Pass::DataGradient, linear_macs(arch, images), || {
            linear::backward_data(dlogits, &parameters[arch.classifier_weight.clone()], classes, &mut dpooled);
        });
        let affine = reads.affine(norm, parameters);
        let reader = reads.normalised(norm, parameters, affine.affine());
        let pool = || head::backward(&reader, arch.config.final_relu, &dpooled, dx);
        let sums = probe.time(Pass::Rest, 0, pool);
        store_norm_gradient(norm, &sums, gradients);
        sums
    }
}

/// Multiply-adds of the linear layer.
fn linear_macs(arch: &Architecture, images: usize) -> u64 {
    (arch.classifier_weight.len() * images) as u64
}

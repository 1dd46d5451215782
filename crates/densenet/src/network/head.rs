//! The head in training, forward and backward: the last pre-activation, global pooling, and the linear layers.

use densenet_kernels::batch_norm::NormGradient;
use densenet_kernels::{Real, head, linear};

use super::pre_activation::{BackwardArenas, ForwardArenas, store_norm_gradient};
use super::shape::head_pool;
use super::statistics::Reads;
use crate::Architecture;
use crate::profile::{Pass, Probe};

/// What the head keeps for the backward pass.
#[derive(Debug)]
pub(super) struct HeadState<T> {
    /// The input of each linear layer, one row per picture: the features, then the output of each ReLU.
    inputs: Vec<Vec<T>>,
}

impl<T: Real> HeadState<T> {
    pub fn new() -> Self {
        Self { inputs: Vec::new() }
    }

    /// Logits `(N, classes)`.
    pub fn forward(&mut self, arch: &Architecture, arenas: &mut ForwardArenas<'_, T>, reads: &Reads<'_, T>) -> Vec<T> {
        let (images, norm, config) = (reads.maps.grid().images, &arch.final_norm, &arch.config);
        reads.update_running(norm, arenas.running);
        let ForwardArenas { parameters, probe, .. } = arenas;
        let affine = reads.affine(norm, parameters);
        let mut x = vec![T::zero(); images * arch.num_features];
        let pool =
            || head::forward(&reads.maps, affine.affine(), config.final_relu, head_pool(config.head_pool), &mut x);
        probe.time(Pass::Rest, 0, pool);
        self.classify(arch, parameters, x, *probe)
    }

    /// Logits `(N, classes)` for the `features` `(N, C)`.
    pub fn classify(&mut self, arch: &Architecture, parameters: &[T], features: Vec<T>, probe: Probe<'_>) -> Vec<T> {
        let mut x = features;
        self.inputs.clear();
        for layer in &arch.classifier {
            let images = x.len() / layer.in_features;
            let mut y = vec![T::zero(); images * layer.out_features];
            probe.time(Pass::Forward, (layer.weight.len() * images) as u64, || {
                let weights = linear::pack(&parameters[layer.weight.clone()], layer.out_features);
                linear::forward(&x, &weights, &parameters[layer.bias.clone()], layer.relu, &mut y);
            });
            self.inputs.push(std::mem::replace(&mut x, y));
        }
        x
    }

    /// Propagates the logits' gradient `dlogits` to the head's parameters and to `dx`, the gradient of the maps that it
    /// read.
    pub fn backward(
        &self,
        arch: &Architecture,
        arenas: &mut BackwardArenas<'_, T>,
        reads: &Reads<'_, T>,
        dlogits: &[T],
        dx: &mut [T],
    ) -> NormGradient<T> {
        let dfeatures = self.classifier_backward(arch, arenas, dlogits);
        let (norm, config) = (&arch.final_norm, &arch.config);
        let BackwardArenas { parameters, gradients, probe } = arenas;
        let affine = reads.affine(norm, parameters);
        let reader = reads.normalised(norm, parameters, affine.affine());
        let pool = || head::backward(&reader, config.final_relu, head_pool(config.head_pool), &dfeatures, dx);
        let sums = probe.time(Pass::Rest, 0, pool);
        store_norm_gradient(norm, &sums, gradients);
        sums
    }

    /// Propagates the logits' gradient `dlogits` to the linear layers' parameters, and returns the features' gradient.
    pub fn classifier_backward(
        &self,
        arch: &Architecture,
        BackwardArenas { parameters, gradients, probe }: &mut BackwardArenas<'_, T>,
        dlogits: &[T],
    ) -> Vec<T> {
        let mut dy = dlogits.to_vec();
        for (i, (layer, x)) in arch.classifier.iter().zip(&self.inputs).enumerate().rev() {
            let macs = (layer.weight.len() * x.len() / layer.in_features) as u64;
            probe.time(Pass::WeightGradient, macs, || {
                let mut db = vec![T::zero(); layer.out_features];
                linear::backward_weights(x, &dy, &mut gradients[layer.weight.clone()], &mut db);
                gradients[layer.bias.clone()].copy_from_slice(&db);
            });
            dy = probe.time(Pass::DataGradient, macs, || self.layer_backward_data(arch, parameters, i, &dy));
        }
        dy
    }

    /// The features' gradient, given the logits' gradient `dlogits`, without any parameter gradients.
    pub fn classifier_backward_data(&self, arch: &Architecture, parameters: &[T], dlogits: &[T]) -> Vec<T> {
        let back = |dy: Vec<T>, i| self.layer_backward_data(arch, parameters, i, &dy);
        (0..arch.classifier.len()).rev().fold(dlogits.to_vec(), back)
    }

    /// The gradient of the input of linear layer `i`, given that of its output.
    fn layer_backward_data(&self, arch: &Architecture, parameters: &[T], i: usize, dy: &[T]) -> Vec<T> {
        let (layer, x) = (&arch.classifier[i], &self.inputs[i]);
        let mut dx = vec![T::zero(); x.len()];
        linear::backward_data(dy, &parameters[layer.weight.clone()], layer.out_features, &mut dx);
        // Every layer except the first reads the output of a ReLU.
        if i > 0 {
            linear::backward_relu(x, &mut dx);
        }
        dx
    }
}

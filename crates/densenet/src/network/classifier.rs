//! The linear layers in inference, packed.

use densenet_kernels::linear::{self, PackedLinear};
use densenet_kernels::{Aligned, Real};

use super::steps::{Method, Part, Step};
use super::weights::Weights;
use crate::architecture::Linear;
use crate::profile::{Pass, Probe};

/// The linear layers from features to classes; none in a backbone.
#[derive(Debug)]
pub(super) struct Classifier<T: Real>(Vec<Layer<T>>);

#[derive(Debug)]
struct Layer<T: Real> {
    name: String,
    weights: PackedLinear<T>,
    bias: Vec<T>,
    relu: bool,
}

impl<T: Real> Classifier<T> {
    pub fn new(weights: &Weights<T>) -> Self {
        Self(weights.architecture.classifier.iter().map(|layer| Layer::new(layer, weights)).collect())
    }

    /// Computes `logits` `(N, classes)` from the `features` `(N, C)` of `images` images, with one buffer per layer in
    /// `hidden`.
    pub fn run(&self, images: usize, features: &[T], hidden: &mut Vec<Aligned<T>>, logits: &mut [T], probe: Probe<'_>) {
        let Some((last, before)) = self.0.split_last() else { return };
        hidden.resize_with(before.len(), Aligned::default);
        let mut x = features;
        for (layer, memory) in before.iter().zip(hidden) {
            let y = memory.at_least(images * layer.weights.out_features());
            layer.run(x, y, probe);
            x = y;
        }
        last.run(x, logits, probe);
    }

    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.0.iter().map(|layer| Step {
            name: layer.name.clone(),
            part: Part::Head,
            in_channels: layer.weights.in_features(),
            out_channels: layer.weights.out_features(),
            window: [1, 1],
            output: [1, 1],
            method: Method::Plain,
        })
    }
}

impl<T: Real> Layer<T> {
    fn new(layer: &Linear, weights: &Weights<T>) -> Self {
        Self {
            name: layer.name.clone(),
            weights: linear::pack(weights.parameter(&layer.weight), layer.out_features),
            bias: weights.parameter(&layer.bias).to_vec(),
            relu: layer.relu,
        }
    }

    fn run(&self, x: &[T], y: &mut [T], probe: Probe<'_>) {
        let macs = x.len() * self.weights.out_features();
        let forward = || linear::forward(x, &self.weights, &self.bias, self.relu, y);
        probe.at(&self.name).time(Pass::Forward, macs as u64, forward);
    }
}

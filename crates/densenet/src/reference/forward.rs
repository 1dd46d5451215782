//! The forward pass, in inference and in training.

use std::ops::Range;

use densenet_kernels::Scalar;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::batch_norm::{self, Statistics};
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::{Shape4, dropout, linear, pool, pre_activation, relu};

use super::types::{Map, Tape, geometry, running_statistics, window};
use crate::Architecture;
use crate::architecture::{DenseLayer, Norm, PreAct};
use crate::config::{HeadPool, Joining, PoolKind};

/// The source of the batch-norms' statistics.
pub(super) enum Mode<'a, T> {
    /// The running statistics.
    Inference { running: &'a [T] },
    /// The batch, which updates the running statistics; dropout is active.
    Training { running: &'a mut [T], dropout_seed: u64 },
}

/// A traversal of the network from the pictures to the logits.
pub(super) struct Forward<'a, T> {
    arch: &'a Architecture,
    parameters: &'a [T],
    mode: Mode<'a, T>,
    pub(super) tape: Tape<T>,
}

impl<'a, T: Scalar> Forward<'a, T> {
    pub(super) fn new(arch: &'a Architecture, parameters: &'a [T], mode: Mode<'a, T>) -> Self {
        Self { arch, parameters, mode, tape: Tape::new() }
    }

    /// `(N, classes)`.
    pub(super) fn logits(&mut self, shape: Shape4, images: &[T]) -> Vec<T> {
        let mut x = self.features(shape, images);
        for layer in &self.arch.classifier {
            let y = linear::forward(&x, self.get(&layer.weight), self.get(&layer.bias));
            self.tape.linear_inputs.push(x);
            x = if layer.relu { relu::forward(&y) } else { y };
        }
        x
    }

    /// The input of the classifier, `(N, features)`.
    pub(super) fn features(&mut self, shape: Shape4, images: &[T]) -> Vec<T> {
        let arch = self.arch;
        let mut x = self.stem(shape, images);
        let mut layers = 0;
        for block in &arch.blocks {
            for layer in &block.layers {
                let h = self.layer(layer, layers, x.clone());
                x = join(arch.config.joining, x, h);
                layers += 1;
            }
            if let Some(transition) = &block.transition {
                let y = self.pre_act(transition, x);
                x = Map { shape: Pool::HALVE.output(y.shape), values: Pool::HALVE.average(y.shape, &y.values) };
            }
        }
        let x = self.normalise(&arch.final_norm, x, arch.config.final_relu);
        match arch.config.head_pool {
            HeadPool::Average => pool::global_average(x.shape, &x.values),
            HeadPool::Max => {
                let (features, places) = pool::global_max(x.shape, &x.values);
                self.tape.head_places = places;
                features
            }
            HeadPool::None => x.values,
        }
    }

    fn stem(&mut self, shape: Shape4, images: &[T]) -> Map<T> {
        let conv = &self.arch.stem_conv;
        let bias = conv.bias.as_ref().map(|bias| self.get(bias));
        let y = geometry(conv).forward(shape, images, self.get(&conv.weight), bias);
        let y = Map { shape: geometry(conv).output(shape), values: y };
        let Some(norm) = &self.arch.stem_norm else { return y };
        let y = self.normalise(norm, y, true);
        let Some(pool) = self.arch.stem_pool else { return y };
        let shape = window(pool).output(y.shape);
        let values = match pool.kind {
            PoolKind::Average => window(pool).average(y.shape, &y.values),
            PoolKind::Max => {
                let (values, places) = window(pool).max(y.shape, &y.values);
                self.tape.stem_places = places;
                values
            }
        };
        Map { shape, values }
    }

    /// `H(x)` for the layer with this number, with dropout after its last convolution.
    fn layer(&mut self, layer: &DenseLayer, number: u64, mut x: Map<T>) -> Map<T> {
        for pre_act in layer.bottleneck.iter().chain([&layer.conv]) {
            x = self.pre_act(pre_act, x);
        }
        if let Mode::Training { dropout_seed, .. } = self.mode {
            x.values = dropout::dropout(&x.values, Stream::new(dropout_seed, number), self.arch.config.drop_rate);
        }
        x
    }

    fn pre_act(&mut self, pre_act: &PreAct, x: Map<T>) -> Map<T> {
        let conv = geometry(&pre_act.conv);
        let statistics = self.statistics(&pre_act.norm, &x);
        let parameters = pre_act_parameters(pre_act, self.parameters);
        let values = pre_activation::forward(&conv, x.shape, &x.values, &statistics, parameters);
        let y = Map { shape: conv.output(x.shape), values };
        self.tape.inputs.push(x);
        y
    }

    /// `bn(x)`, with a ReLU after it if `rectify`.
    fn normalise(&mut self, norm: &Norm, x: Map<T>, rectify: bool) -> Map<T> {
        let statistics = self.statistics(norm, &x);
        let (gamma, beta) = (self.get(&norm.weight), self.get(&norm.bias));
        let normalised = batch_norm::forward(x.shape, &x.values, &statistics, gamma, beta);
        let values = if rectify { relu::forward(&normalised) } else { normalised };
        let y = Map { shape: x.shape, values };
        self.tape.inputs.push(x);
        y
    }

    fn statistics(&mut self, norm: &Norm, x: &Map<T>) -> Statistics<T> {
        match &mut self.mode {
            Mode::Inference { running } => running_statistics(norm, running),
            Mode::Training { running, .. } => {
                let batch = batch_norm::statistics(x.shape, &x.values);
                let places = [norm.mean.clone(), norm.variance.clone()];
                let [mean, variance] = running.get_disjoint_mut(places).expect("places of the arena");
                let (seen_mean, seen_variance) = (mean[..norm.seen].to_vec(), variance[..norm.seen].to_vec());
                batch_norm::update_running(x.shape, &batch, mean, variance);
                // An earlier reader has already updated these.
                mean[..norm.seen].copy_from_slice(&seen_mean);
                variance[..norm.seen].copy_from_slice(&seen_variance);
                batch
            }
        }
    }

    fn get(&self, range: &Range<usize>) -> &'a [T] {
        &self.parameters[range.clone()]
    }
}

/// The operation's learnable values from the arena.
pub(super) fn pre_act_parameters<'a, T>(pre_act: &PreAct, arena: &'a [T]) -> pre_activation::Parameters<'a, T> {
    pre_activation::Parameters {
        gamma: &arena[pre_act.norm.weight.clone()],
        beta: &arena[pre_act.norm.bias.clone()],
        weight: &arena[pre_act.conv.weight.clone()],
        bias: pre_act.conv.bias.clone().map(|bias| &arena[bias]),
    }
}

/// A layer's input `x` and output `h` combined.
fn join<T: Scalar>(joining: Joining, x: Map<T>, h: Map<T>) -> Map<T> {
    match joining {
        Joining::Dense => concatenate(&x, &h),
        Joining::Residual => {
            Map { shape: x.shape, values: x.values.iter().zip(&h.values).map(|(&x, &h)| h + x).collect() }
        }
        Joining::Plain => h,
    }
}

/// `[x, h]` along the channels.
pub(super) fn concatenate<T: Scalar>(x: &Map<T>, h: &Map<T>) -> Map<T> {
    let shape = Shape4 { c: x.shape.c + h.shape.c, ..x.shape };
    let mut values = Vec::with_capacity(shape.len());
    let pictures = |map: &Map<T>| map.shape.c * map.shape.plane();
    for (x, h) in x.values.chunks_exact(pictures(x)).zip(h.values.chunks_exact(pictures(h))) {
        values.extend_from_slice(x);
        values.extend_from_slice(h);
    }
    Map { shape, values }
}

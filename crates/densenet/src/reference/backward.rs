//! The backward pass.

use std::ops::Range;

use densenet_kernels::Scalar;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::batch_norm::{self, Source, Statistics};
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::{Shape4, dropout, linear, pool, pre_activation, relu};

use super::forward::pre_act_parameters;
use super::types::{Map, Tape, geometry, running_statistics, window};
use crate::Architecture;
use crate::architecture::{Conv, DenseLayer, Norm, PreAct};
use crate::config::{HeadPool, Joining, PoolKind};

/// The statistics that the batch-norms used in the forward pass.
pub(super) enum Mode<'a, T> {
    /// The running statistics, constants.
    Inference { running: &'a [T] },
    /// The batch's, which depend on their input; dropout was active.
    Training { dropout_seed: u64 },
}

/// A traversal of the network from the logits back to the pictures, which consumes the tape from its end.
pub(super) struct Backward<'a, T> {
    arch: &'a Architecture,
    parameters: &'a [T],
    tape: Tape<T>,
    mode: Mode<'a, T>,
    gradients: Gradients<T>,
}

/// The result of a backward pass.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// Gradients of every parameter, in the order of the parameter arena.
    pub parameters: Vec<T>,
    /// `(N, C, H, W)`: gradients of the pictures.
    pub images: Vec<T>,
    /// `(N, C, H, W)`: gradients of each block's output, as the transition reads it; for the last block, after
    /// activation.
    pub blocks: Vec<Vec<T>>,
}

impl<'a, T: Scalar> Backward<'a, T> {
    pub(super) fn new(arch: &'a Architecture, parameters: &'a [T], tape: Tape<T>, mode: Mode<'a, T>) -> Self {
        let gradients =
            Gradients { parameters: vec![T::zero(); parameters.len()], images: Vec::new(), blocks: Vec::new() };
        Self { arch, parameters, tape, mode, gradients }
    }

    /// Gradients, given `images` `(N, C, H, W)` of `shape` and `dlogits` `(N, classes)`.
    pub(super) fn gradients(mut self, shape: Shape4, images: &[T], dlogits: &[T]) -> Gradients<T> {
        let arch = self.arch;
        let mut dx = self.head(dlogits);
        let mut layers = arch.config.block_config.iter().sum::<usize>() as u64;
        for block in arch.blocks.iter().rev() {
            if let Some(transition) = &block.transition {
                dx = self.transition(transition, &dx);
                self.gradients.blocks.push(dx.values.clone());
            }
            for layer in block.layers.iter().rev() {
                layers -= 1;
                let (direct, dh) = separate(arch.config.joining, dx, layer.conv.conv.out_channels);
                dx = self.layer(layer, layers, dh);
                dx.values.iter_mut().zip(&direct).for_each(|(dx, &direct)| *dx += direct);
            }
        }
        self.gradients.images = self.stem(shape, images, dx);
        self.gradients.blocks.reverse();
        self.gradients
    }

    fn head(&mut self, dlogits: &[T]) -> Map<T> {
        let arch = self.arch;
        let dfeatures = self.classifier(dlogits);
        let x = self.pop();
        let dy = match arch.config.head_pool {
            HeadPool::Average => pool::global_average_backward(x.shape, &dfeatures),
            HeadPool::Max => pool::max_backward(x.shape, &self.tape.head_places, &dfeatures),
            HeadPool::None => dfeatures,
        };
        self.gradients.blocks.push(dy.clone());
        self.normalise(&arch.final_norm, x, &dy, arch.config.final_relu)
    }

    /// Gradient of the features.
    fn classifier(&mut self, dlogits: &[T]) -> Vec<T> {
        let mut dy = dlogits.to_vec();
        for (i, layer) in self.arch.classifier.iter().enumerate().rev() {
            let x = self.tape.linear_inputs.pop().expect("the forward pass kept every linear layer's input");
            let gradients = linear::backward(layer.out_features, &x, self.get(&layer.weight), &dy);
            self.put(&layer.weight, &gradients.dweight);
            self.put(&layer.bias, &gradients.dbias);
            // Every layer except the first reads the output of a ReLU.
            dy = if i > 0 { relu::backward(&x, &gradients.dx) } else { gradients.dx };
        }
        dy
    }

    fn transition(&mut self, transition: &PreAct, dx: &Map<T>) -> Map<T> {
        let input = self.tape.inputs.last().expect("the transition's input").shape;
        let shape = geometry(&transition.conv).output(input);
        let dy = Map { shape, values: Pool::HALVE.average_backward(shape, &dx.values) };
        self.pre_act(transition, &dy)
    }

    fn layer(&mut self, layer: &DenseLayer, number: u64, mut dh: Map<T>) -> Map<T> {
        if let Mode::Training { dropout_seed } = self.mode {
            dh.values = dropout::dropout(&dh.values, Stream::new(dropout_seed, number), self.arch.config.drop_rate);
        }
        for pre_act in [&layer.conv].into_iter().chain(&layer.bottleneck) {
            dh = self.pre_act(pre_act, &dh);
        }
        dh
    }

    /// Gradient of the pictures.
    fn stem(&mut self, shape: Shape4, images: &[T], mut dy: Map<T>) -> Vec<T> {
        let conv = &self.arch.stem_conv;
        if let Some(norm) = &self.arch.stem_norm {
            let x = self.pop();
            let drectified = match self.arch.stem_pool {
                Some(pool) if pool.kind == PoolKind::Average => window(pool).average_backward(x.shape, &dy.values),
                Some(_) => pool::max_backward(x.shape, &self.tape.stem_places, &dy.values),
                None => dy.values,
            };
            dy = self.normalise(norm, x, &drectified, true);
        }
        let gradients = geometry(conv).backward(shape, images, self.get(&conv.weight), &dy.values);
        self.put_conv(conv, &gradients.dweight, &gradients.dbias);
        gradients.dx
    }

    fn pre_act(&mut self, pre_act: &PreAct, dy: &Map<T>) -> Map<T> {
        let x = self.pop();
        let (source, statistics) = self.statistics(&pre_act.norm, &x);
        let parameters = pre_act_parameters(pre_act, self.parameters);
        let conv = geometry(&pre_act.conv);
        let gradients =
            pre_activation::backward(source, &conv, x.shape, &x.values, &statistics, parameters, &dy.values);
        self.put_norm(&pre_act.norm, &gradients.dgamma, &gradients.dbeta);
        self.put_conv(&pre_act.conv, &gradients.dweight, &gradients.dbias);
        Map { shape: x.shape, values: gradients.dx }
    }

    /// Backward through `bn(x)`, with a ReLU after it if `rectify`.
    fn normalise(&mut self, norm: &Norm, x: Map<T>, dy: &[T], rectify: bool) -> Map<T> {
        let (gamma, beta) = (self.get(&norm.weight), self.get(&norm.bias));
        let (source, statistics) = self.statistics(norm, &x);
        let normalised = batch_norm::forward(x.shape, &x.values, &statistics, gamma, beta);
        let dnormalised = if rectify { relu::backward(&normalised, dy) } else { dy.to_vec() };
        let gradients = batch_norm::backward(source, x.shape, &x.values, &statistics, gamma, &dnormalised);
        self.put_norm(norm, &gradients.dgamma, &gradients.dbeta);
        Map { shape: x.shape, values: gradients.dx }
    }

    /// The statistics that `norm` used for its input `x`.
    fn statistics(&self, norm: &Norm, x: &Map<T>) -> (Source, Statistics<T>) {
        match self.mode {
            Mode::Inference { running } => (Source::Running, running_statistics(norm, running)),
            Mode::Training { .. } => (Source::Batch, batch_norm::statistics(x.shape, &x.values)),
        }
    }

    /// Stores a batch-norm's gradients, added to those of later readers that share it.
    fn put_norm(&mut self, norm: &Norm, dgamma: &[T], dbeta: &[T]) {
        for (place, own) in [(&norm.weight, dgamma), (&norm.bias, dbeta)] {
            let before = self.gradients.parameters[place.clone()].to_vec();
            let sum = |(&own, before): (&T, T)| if norm.seen_again { own + before } else { own };
            self.put(place, &own.iter().zip(before).map(sum).collect::<Vec<_>>());
        }
    }

    fn put_conv(&mut self, conv: &Conv, dweight: &[T], dbias: &[T]) {
        self.put(&conv.weight, dweight);
        if let Some(bias) = &conv.bias {
            self.put(bias, dbias);
        }
    }

    fn put(&mut self, range: &Range<usize>, values: &[T]) {
        self.gradients.parameters[range.clone()].copy_from_slice(values);
    }

    fn get(&self, range: &Range<usize>) -> &'a [T] {
        &self.parameters[range.clone()]
    }

    fn pop(&mut self) -> Map<T> {
        self.tape.inputs.pop().expect("the forward pass kept every batch-norm's input")
    }
}

/// Gradients of a layer's direct input and of its output of `channels`, given that of the two combined.
fn separate<T: Scalar>(joining: Joining, dy: Map<T>, channels: usize) -> (Vec<T>, Map<T>) {
    match joining {
        Joining::Dense => split(&dy, channels),
        Joining::Residual => (dy.values.clone(), dy),
        Joining::Plain => (Vec::new(), dy),
    }
}

/// Undoes a concatenation along the channels, where the second part has `channels`.
fn split<T: Scalar>(dy: &Map<T>, channels: usize) -> (Vec<T>, Map<T>) {
    let plane = dy.shape.plane();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for picture in dy.values.chunks_exact(dy.shape.c * plane) {
        let (x, h) = picture.split_at((dy.shape.c - channels) * plane);
        first.extend_from_slice(x);
        second.extend_from_slice(h);
    }
    let shape = Shape4 { c: channels, ..dy.shape };
    (first, Map { shape, values: second })
}

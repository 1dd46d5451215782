//! The stem in training, forward and backward.

use densenet_kernels::batch_norm::{Moments, Uncorrected};
use densenet_kernels::conv::{self, Epilogue, OutputGradient};
use densenet_kernels::{FeatureMaps, Grid, Input, Pooling, Real, stem};

use super::pre_activation::{BackwardArenas, ForwardArenas, bias, store_bias_gradient, store_norm_gradient};
use super::shape::{conv_shape, stem_pool};
use super::statistics::{Reads, Statistics};
use crate::Architecture;
use crate::profile::Pass;

/// A batch of pictures.
#[derive(Clone, Copy)]
pub(super) struct Pictures<'a, T> {
    /// `(N, C, H, W)`.
    pub data: &'a [T],
    pub grid: Grid,
}

/// What the stem keeps for the backward pass.
#[derive(Debug)]
pub(super) struct StemState<T> {
    /// Statistics of the convolution's output, where a batch-norm follows.
    statistics: Statistics<T>,
}

fn pool(arch: &Architecture) -> stem::Pool {
    arch.stem_pool.map_or(stem::Pool::NONE, stem_pool)
}

impl<T: Real> StemState<T> {
    pub fn new() -> Self {
        Self { statistics: Statistics::default() }
    }

    /// Computes the first feature map of pictures, and its statistics; `raw` keeps the convolution's output.
    pub fn forward(
        &mut self,
        arch: &Architecture,
        arenas: &mut ForwardArenas<'_, T>,
        pictures: Pictures<'_, T>,
        raw: &mut [T],
        output: &mut [T],
    ) -> Moments<T> {
        let Some(norm) = &arch.stem_norm else {
            return convolve(arch, arenas, pictures, output);
        };
        self.statistics = Statistics::of(&convolve(arch, arenas, pictures, raw));
        let map_channels = [arch.stem_conv.out_channels];
        let reads = self.reads(raw, conv_shape(&arch.stem_conv).window.output(pictures.grid), &map_channels);
        reads.update_running(norm, arenas.running);
        let affine = reads.affine(norm, arenas.parameters);
        let pooled = || stem::forward_with_moments(&reads.maps, affine.affine(), pool(arch), output);
        arenas.probe.time(Pass::Rest, 0, pooled)
    }

    fn reads<'a>(&'a self, raw: &'a [T], grid: Grid, map_channels: &'a [usize]) -> Reads<'a, T> {
        let maps = FeatureMaps::new(raw, grid, map_channels);
        Reads { maps, first: 0, statistics: &self.statistics, pooling: Pooling::None }
    }

    /// Propagates the first feature map's gradient `dy` to the stem's parameters; `raw` is the convolution's output,
    /// `raw_gradient` memory for its gradient.
    pub fn backward(
        &mut self,
        arch: &Architecture,
        arenas: &mut BackwardArenas<'_, T>,
        pictures: Pictures<'_, T>,
        raw: &[T],
        raw_gradient: &mut [T],
        dy: &[T],
    ) {
        let (conv, shape) = (&arch.stem_conv, conv_shape(&arch.stem_conv));
        let output = shape.window.output(pictures.grid);
        let mut gradient = OutputGradient::Finished { dy, channels: conv.out_channels };
        if let Some(norm) = &arch.stem_norm {
            let map_channels = [conv.out_channels];
            let reads = self.reads(raw, output, &map_channels);
            let affine = reads.affine(norm, arenas.parameters);
            let reader = reads.normalised(norm, arenas.parameters, affine.affine());
            let pooled = || stem::backward(&reader, pool(arch), dy, raw_gradient);
            let sums = arenas.probe.time(Pass::Rest, 0, pooled);
            store_norm_gradient(norm, &sums, arenas.gradients);
            self.statistics.add_reader(0, &arenas.parameters[norm.weight.clone()], &sums);
            let correction = self.statistics.correction(0..conv.out_channels);
            gradient = OutputGradient::Uncorrected(Uncorrected { g: raw_gradient, map: raw, correction });
        }
        arenas.probe.time(Pass::WeightGradient, shape.macs(output), || {
            let input = Input::Pictures { data: pictures.data, grid: pictures.grid, channels: conv.in_channels };
            conv::backward_weights(shape, &input, &gradient, &mut arenas.gradients[conv.weight.clone()]);
        });
        store_bias_gradient(conv, arenas.gradients, None);
    }
}

/// Runs the stem's convolution, and returns the statistics of its output.
fn convolve<T: Real>(
    arch: &Architecture,
    arenas: &ForwardArenas<'_, T>,
    pictures: Pictures<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    let (conv, shape) = (&arch.stem_conv, conv_shape(&arch.stem_conv));
    arenas.probe.time(Pass::Forward, shape.macs(shape.window.output(pictures.grid)), || {
        let input = Input::Pictures { data: pictures.data, grid: pictures.grid, channels: conv.in_channels };
        let epilogue = Epilogue { bias: bias(conv, arenas.parameters), ..Epilogue::default() };
        conv::forward_with_moments(shape, &input, &arenas.parameters[conv.weight.clone()], &epilogue, output)
    })
}

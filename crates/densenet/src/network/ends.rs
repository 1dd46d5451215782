//! The two ends of the network in training, forward and backward: the stem, and the head with its loss.

use densenet_kernels::conv::{self, Epilogue, OutputGradient};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::norm::{self, Moments, NormGradient, Uncorrected};
use densenet_kernels::patch::{Input, Window};
use densenet_kernels::reference::cross_entropy;
use densenet_kernels::{Panels, head, stem};

use super::pre_activation::{Arenas, Reads, ScaleShift, Statistics, Values, bias_gradient, macs, store_norm, window};
use crate::Architecture;
use crate::architecture::Conv;
use crate::profile::Pass;

/// The window that the stem pools by; a point where it does not.
fn pool(arch: &Architecture) -> Window {
    if arch.stem_pool { stem::POOL } else { Window::POINT }
}

/// What the stem keeps for the backward pass.
#[derive(Debug)]
pub(super) struct StemState<T> {
    /// Of the convolution's output, where a batch-norm follows.
    statistics: Statistics<T>,
}

impl<T: Dispatch> StemState<T> {
    pub fn new() -> Self {
        Self { statistics: Statistics::default() }
    }

    /// Pictures `(N, C, H, W)` to the first feature map and its statistics; `raw` keeps the convolution's output.
    pub fn forward(
        &mut self,
        arch: &Architecture,
        values: &mut Values<'_, T>,
        pictures: (&[T], Grid),
        raw: &mut [T],
        output: &mut [T],
    ) -> Moments<T> {
        let conv = &arch.stem_conv;
        let Some(norm) = &arch.stem_norm else {
            return convolved(conv, values, pictures, output);
        };
        self.statistics = Statistics::of(&convolved(conv, values, pictures, raw));
        let widths = [conv.out_channels];
        let reads = self.reads(raw, window(conv).output(pictures.1), &widths);
        reads.update_running(norm, values.running);
        let affine = ScaleShift::of(norm, values.parameters, &reads);
        let affine = affine.affine();
        values.probe.time(Pass::Rest, 0, || stem::forward_with_moments(&reads.maps, affine, pool(arch), output))
    }

    fn reads<'a>(&'a self, raw: &'a [T], grid: Grid, widths: &'a [usize]) -> Reads<'a, T> {
        Reads { maps: Maps::new(raw, grid, widths), first: 0, statistics: &self.statistics }
    }

    /// The gradient of the first feature map to the stem's parameters; `raw_gradient` is room for that of `raw`.
    pub fn backward(
        &mut self,
        arch: &Architecture,
        arenas: &mut Arenas<'_, T>,
        (images, grid): (&[T], Grid),
        (raw, raw_gradient): (&[T], &mut [T]),
        output_gradient: &[T],
    ) {
        let conv = &arch.stem_conv;
        let input = Input::Pictures(images, grid, conv.in_channels);
        let mut gradient = OutputGradient::Finished(output_gradient, conv.out_channels);
        if let Some(norm) = &arch.stem_norm {
            let widths = [conv.out_channels];
            let reads = self.reads(raw, window(conv).output(grid), &widths);
            let affine = ScaleShift::of(norm, arenas.parameters, &reads);
            let reader = reads.normalised(norm, arenas.parameters, affine.affine());
            let back = || stem::backward(&reader, pool(arch), output_gradient, raw_gradient);
            let sums = arenas.probe.time(Pass::Rest, 0, back);
            store_norm(norm, &sums, arenas.gradients);
            self.statistics.add_reader(0, &arenas.parameters[norm.weight.clone()], &sums);
            let correction = self.statistics.correction(0..widths[0]);
            gradient = OutputGradient::Uncorrected(Uncorrected { gradient: raw_gradient, map: raw, correction });
        }
        arenas.probe.time(Pass::WeightGradient, macs(conv, window(conv).output(grid)), || {
            let weight_gradient = &mut arenas.gradients[conv.weight.clone()];
            conv::weight_gradient(&input, window(conv), &gradient, weight_gradient);
        });
        bias_gradient(conv, arenas.gradients, None);
    }
}

/// The stem's convolution of pictures `(N, C, H, W)`, with the statistics of what it makes.
fn convolved<T: Dispatch>(
    conv: &Conv,
    values: &Values<'_, T>,
    (images, grid): (&[T], Grid),
    output: &mut [T],
) -> Moments<T> {
    values.probe.time(Pass::Forward, macs(conv, window(conv).output(grid)), || {
        let weight = &values.parameters[conv.weight.clone()];
        let panels = conv::forward_panels(weight, conv.out_channels, conv.in_channels, conv.kernel);
        let input = Input::Pictures(images, grid, conv.in_channels);
        let bias = conv.bias.as_ref().map(|bias| &values.parameters[bias.clone()]);
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        conv::forward_with_moments(&input, window(conv), &panels, &epilogue, output)
    })
}

/// What the head keeps for the backward pass.
#[derive(Debug)]
pub(super) struct HeadState<T> {
    /// `(N, C)`: means over the pixels.
    pooled: Vec<T>,
}

/// Images as the pixels of a 1x1 convolution: how a linear layer runs on the convolution.
fn in_a_row(images: usize) -> Grid {
    Grid { images: 1, height: 1, width: images }
}

/// Panels of the linear layer's weights `[classes][channels]`.
pub(super) fn classifier_panels<T: Dispatch>(weight: &[T], classes: usize) -> Panels<T> {
    conv::forward_panels(weight, classes, weight.len() / classes, 1)
}

/// Logits `(N, classes)` of pooled features `(N, C)`.
pub(super) fn classify<T: Dispatch>(pooled: &[T], images: usize, panels: &Panels<T>, bias: &[T], logits: &mut [T]) {
    let input = Input::Raw(pooled, in_a_row(images), panels.depth());
    conv::forward(&input, Window::POINT, panels, &Epilogue { bias: Some(bias), ..Epilogue::default() }, logits);
}

impl<T: Dispatch> HeadState<T> {
    pub fn new() -> Self {
        Self { pooled: Vec::new() }
    }

    /// Logits `(N, classes)`.
    pub fn forward(&mut self, arch: &Architecture, values: &mut Values<'_, T>, reads: &Reads<'_, T>) -> Vec<T> {
        let (images, norm, classes) = (reads.maps.grid().images, &arch.final_norm, arch.config.num_classes);
        reads.update_running(norm, values.running);
        let parameters = values.parameters;
        let affine = ScaleShift::of(norm, parameters, reads);
        self.pooled.resize(images * norm.channels, T::zero());
        let (affine, relu) = (affine.affine(), arch.config.final_relu);
        values.probe.time(Pass::Rest, 0, || head::forward(&reads.maps, affine, relu, &mut self.pooled));
        let mut logits = vec![T::zero(); images * classes];
        values.probe.time(Pass::Forward, linear_macs(arch, images), || {
            let panels = classifier_panels(&parameters[arch.classifier_weight.clone()], classes);
            classify(&self.pooled, images, &panels, &parameters[arch.classifier_bias.clone()], &mut logits);
        });
        logits
    }

    /// The loss's gradient to the head's parameters and to the maps that it read.
    pub fn backward(
        &self,
        arch: &Architecture,
        arenas: &mut Arenas<'_, T>,
        reads: &Reads<'_, T>,
        logits_gradient: &[T],
        gradient: &mut [T],
    ) -> NormGradient<T> {
        let (images, norm) = (reads.maps.grid().images, &arch.final_norm);
        self.classifier_gradients(arch, arenas, images, logits_gradient);
        let pooled_gradient = pooled_gradient(arch, arenas, images, logits_gradient);
        let affine = ScaleShift::of(norm, arenas.parameters, reads);
        let reader = reads.normalised(norm, arenas.parameters, affine.affine());
        let back = || head::backward(&reader, arch.config.final_relu, &pooled_gradient, gradient);
        let sums = arenas.probe.time(Pass::Rest, 0, back);
        store_norm(norm, &sums, arenas.gradients);
        sums
    }

    /// Gradients of the linear layer's weights and bias into the arena.
    fn classifier_gradients(
        &self,
        arch: &Architecture,
        arenas: &mut Arenas<'_, T>,
        images: usize,
        logits_gradient: &[T],
    ) {
        let Arenas { gradients, probe, .. } = arenas;
        probe.time(Pass::WeightGradient, linear_macs(arch, images), || {
            let features = Input::Raw(&self.pooled, in_a_row(images), arch.final_norm.channels);
            let weight_gradient = &mut gradients[arch.classifier_weight.clone()];
            let classes = arch.config.num_classes;
            let output_gradient = OutputGradient::Finished(logits_gradient, classes);
            conv::weight_gradient(&features, Window::POINT, &output_gradient, weight_gradient);
            let sums = norm::column_sums(logits_gradient, classes);
            gradients[arch.classifier_bias.clone()].copy_from_slice(&sums);
        });
    }
}

/// The gradient of the pooled features `(N, C)`.
fn pooled_gradient<T: Dispatch>(
    arch: &Architecture,
    arenas: &Arenas<'_, T>,
    images: usize,
    logits_gradient: &[T],
) -> Vec<T> {
    let (channels, classes) = (arch.final_norm.channels, arch.config.num_classes);
    arenas.probe.time(Pass::DataGradient, linear_macs(arch, images), || {
        let weight = &arenas.parameters[arch.classifier_weight.clone()];
        let panels = Panels::new(classes, channels, |k, j| weight[k * channels + j]);
        let mut gradient = vec![T::zero(); images * channels];
        let input = Input::Raw(logits_gradient, in_a_row(images), classes);
        conv::forward(&input, Window::POINT, &panels, &Epilogue::default(), &mut gradient);
        gradient
    })
}

/// Multiply-adds of the linear layer.
fn linear_macs(arch: &Architecture, images: usize) -> u64 {
    (arch.classifier_weight.len() * images) as u64
}

/// Mean loss of `logits` `(N, classes)` and its gradient.
pub(super) fn loss<T: Dispatch>(logits: &[T], labels: &[usize], smoothing: f64) -> (f64, Vec<T>) {
    let loss = cross_entropy::forward(logits, labels, smoothing).f64();
    (loss, cross_entropy::backward(logits, labels, smoothing))
}

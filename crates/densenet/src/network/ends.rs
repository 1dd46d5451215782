//! The two ends of the network in training, forward and backward: the stem, and the head with its loss.

use densenet_kernels::conv::{self, Epilogue};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::norm::{self, Moments, NormGradient};
use densenet_kernels::patch::{Input, Window};
use densenet_kernels::reference::cross_entropy;
use densenet_kernels::{Panels, head, stem};

use super::pre_activation::{Arenas, Reads, ScaleShift, Statistics, store_norm, window};
use crate::Architecture;

/// The window that the stem pools by; a point where it does not.
pub(super) fn pool(arch: &Architecture) -> Window {
    if arch.stem_pool { stem::POOL } else { Window::POINT }
}

/// What the stem keeps for the backward pass.
#[derive(Debug)]
pub(super) struct StemState<T> {
    /// Output of the convolution, where a batch-norm follows.
    raw: Vec<T>,
    statistics: Statistics<T>,
}

impl<T: Dispatch> StemState<T> {
    pub fn new() -> Self {
        Self { raw: Vec::new(), statistics: Statistics::default() }
    }

    /// Pictures `(N, C, H, W)` to the first feature map and its statistics.
    pub fn forward(
        &mut self,
        arch: &Architecture,
        parameters: &[T],
        running: &mut [T],
        (images, grid): (&[T], Grid),
        output: &mut [T],
    ) -> Moments<T> {
        let conv = &arch.stem_conv;
        let panels =
            conv::forward_panels(&parameters[conv.weight.clone()], conv.out_channels, conv.in_channels, conv.kernel);
        let input = Input::Pictures(images, grid, conv.in_channels);
        let bias = conv.bias.as_ref().map(|bias| &parameters[bias.clone()]);
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        let Some(norm) = &arch.stem_norm else {
            return conv::forward_with_moments(&input, window(conv), &panels, &epilogue, output);
        };
        self.raw.resize(window(conv).output(grid).pixels() * conv.out_channels, T::zero());
        let moments = conv::forward_with_moments(&input, window(conv), &panels, &epilogue, &mut self.raw);
        self.statistics.clear();
        self.statistics.push(&moments);
        let widths = [conv.out_channels];
        let reads = self.reads(window(conv).output(grid), &widths);
        reads.update_running(norm, running);
        let affine = ScaleShift::of(norm, parameters, &reads);
        stem::forward_with_moments(&reads.maps, affine.affine(), pool(arch), output)
    }

    fn reads<'a>(&'a self, grid: Grid, widths: &'a [usize]) -> Reads<'a, T> {
        Reads { maps: Maps::new(&self.raw, grid, widths), first: 0, statistics: &self.statistics }
    }

    /// The gradient of the first feature map to the stem's parameters.
    pub fn backward(
        &mut self,
        arch: &Architecture,
        arenas: &mut Arenas<'_, T>,
        (images, grid): (&[T], Grid),
        output_gradient: &[T],
    ) {
        let conv = &arch.stem_conv;
        let input = Input::Pictures(images, grid, conv.in_channels);
        let raw_gradient = match &arch.stem_norm {
            None => None,
            Some(norm) => {
                let widths = [conv.out_channels];
                let reads = self.reads(window(conv).output(grid), &widths);
                let affine = ScaleShift::of(norm, arenas.parameters, &reads);
                let reader = reads.normalised(norm, arenas.parameters, affine.affine());
                let mut gradient = vec![T::zero(); self.raw.len()];
                let sums = stem::backward(&reader, pool(arch), output_gradient, &mut gradient);
                store_norm(norm, &sums, arenas.gradients);
                self.statistics.add_reader(0, &arenas.parameters[norm.weight.clone()], &sums);
                norm::finish(&mut gradient, &self.raw, &self.statistics.correction(0..widths[0]));
                Some(gradient)
            }
        };
        let gradient = raw_gradient.as_deref().unwrap_or(output_gradient);
        conv::weight_gradient(&input, window(conv), gradient, &mut arenas.gradients[conv.weight.clone()]);
        if let Some(bias) = &conv.bias {
            arenas.gradients[bias.clone()].copy_from_slice(&norm::column_sums(gradient, conv.out_channels));
        }
    }
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
    pub fn forward(
        &mut self,
        arch: &Architecture,
        parameters: &[T],
        running: &mut [T],
        reads: &Reads<'_, T>,
    ) -> Vec<T> {
        let (images, norm, classes) = (reads.maps.grid().images, &arch.final_norm, arch.config.num_classes);
        reads.update_running(norm, running);
        let affine = ScaleShift::of(norm, parameters, reads);
        self.pooled.resize(images * norm.channels, T::zero());
        head::forward(&reads.maps, affine.affine(), arch.config.final_relu, &mut self.pooled);
        let panels = classifier_panels(&parameters[arch.classifier_weight.clone()], classes);
        let mut logits = vec![T::zero(); images * classes];
        classify(&self.pooled, images, &panels, &parameters[arch.classifier_bias.clone()], &mut logits);
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
        let (images, norm, classes) = (reads.maps.grid().images, &arch.final_norm, arch.config.num_classes);
        let features = Input::Raw(&self.pooled, in_a_row(images), norm.channels);
        let weight_gradient = &mut arenas.gradients[arch.classifier_weight.clone()];
        conv::weight_gradient(&features, Window::POINT, logits_gradient, weight_gradient);
        let sums = norm::column_sums(logits_gradient, classes);
        arenas.gradients[arch.classifier_bias.clone()].copy_from_slice(&sums);
        let weight = &arenas.parameters[arch.classifier_weight.clone()];
        let panels = Panels::new(classes, norm.channels, |k, j| weight[k * norm.channels + j]);
        let mut pooled_gradient = vec![T::zero(); images * norm.channels];
        let input = Input::Raw(logits_gradient, in_a_row(images), classes);
        conv::forward(&input, Window::POINT, &panels, &Epilogue::default(), &mut pooled_gradient);
        let affine = ScaleShift::of(norm, arenas.parameters, reads);
        let reader = reads.normalised(norm, arenas.parameters, affine.affine());
        let sums = head::backward(&reader, arch.config.final_relu, &pooled_gradient, gradient);
        store_norm(norm, &sums, arenas.gradients);
        sums
    }
}

/// Mean loss of `logits` `(N, classes)` and its gradient.
pub(super) fn loss<T: Dispatch>(logits: &[T], labels: &[usize], smoothing: f64) -> (f64, Vec<T>) {
    let loss = cross_entropy::forward(logits, labels, smoothing).f64();
    (loss, cross_entropy::backward(logits, labels, smoothing))
}

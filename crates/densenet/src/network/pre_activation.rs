//! One `conv(relu(bn(x)))` of the network in training, forward and backward.

use densenet_kernels::conv::{self, Epilogue, OutputGradient};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::norm::{self, Correction, MOMENTUM, Mode, Moments, NormGradient, Normalised, Uncorrected};
use densenet_kernels::patch::{Affine, Input, Window};
use densenet_kernels::winograd::{self, Filters};

use super::tiling;
use crate::architecture::{Conv, Norm, PreAct};
use crate::profile::{Pass, Probe};

/// The arenas of a forward pass: values, and the running statistics that follow the batch's.
pub(super) struct Values<'a, T> {
    pub parameters: &'a [T],
    pub running: &'a mut [T],
    pub probe: Probe<'a>,
}

/// The arenas of a backward pass: values, and where gradients go.
pub(super) struct Arenas<'a, T> {
    pub parameters: &'a [T],
    pub gradients: &'a mut [T],
    pub probe: Probe<'a>,
}

/// Batch statistics of feature maps, concatenated, and what the backward pass adds up about them.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics<T> {
    pub moments: Moments<T>,
    pub inv_std: Vec<T>,
    /// `S0` and `S1` of [`Correction`].
    pub s0: Vec<T>,
    pub s1: Vec<T>,
}

impl<T: Dispatch> Statistics<T> {
    /// Those of one map.
    pub fn of(moments: &Moments<T>) -> Self {
        let mut statistics = Self::default();
        statistics.push(moments);
        statistics
    }

    /// Appends those of one more map.
    pub fn push(&mut self, moments: &Moments<T>) {
        self.inv_std.extend(norm::inv_std(&moments.variance));
        self.moments.extend(moments);
        self.s0.resize(self.inv_std.len(), T::zero());
        self.s1.resize(self.inv_std.len(), T::zero());
    }

    /// Those of `channels`.
    pub fn correction(&self, channels: std::ops::Range<usize>) -> Correction<'_, T> {
        Correction {
            mean: &self.moments.mean[channels.clone()],
            inv_std: &self.inv_std[channels.clone()],
            s0: &self.s0[channels.clone()],
            s1: &self.s1[channels],
        }
    }

    /// Adds a reader's part to what the maps' correction needs.
    pub fn add_reader(&mut self, first: usize, gamma: &[T], gradient: &NormGradient<T>) {
        for (c, &gamma) in gamma.iter().enumerate() {
            self.s0[first + c] += gamma * gradient.beta[c];
            self.s1[first + c] += gamma * gradient.gamma[c];
        }
    }
}

/// What a batch-norm reads: feature maps, and the channel of `statistics` that the first of theirs is.
pub(super) struct Reads<'a, T> {
    pub maps: Maps<'a, T>,
    pub first: usize,
    pub statistics: &'a Statistics<T>,
}

/// A batch-norm's scale and shift for what it reads.
pub(super) struct ScaleShift<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Dispatch> ScaleShift<T> {
    pub fn of(norm: &Norm, parameters: &[T], reads: &Reads<'_, T>) -> Self {
        let Correction { mean, inv_std, .. } = reads.statistics.correction(reads.channels());
        let (gamma, beta) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
        let (scale, shift) = norm::affine(gamma, beta, mean, inv_std);
        Self { scale, shift }
    }

    pub fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

impl<'a, T: Dispatch> Reads<'a, T> {
    pub fn channels(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.maps.channels()
    }

    /// The maps as `norm` normalises them.
    pub fn normalised<'b>(&'b self, norm: &Norm, parameters: &'b [T], affine: Affine<'b, T>) -> Normalised<'b, T> {
        let Correction { mean, inv_std, .. } = self.statistics.correction(self.channels());
        Normalised { maps: self.maps, mean, inv_std, gamma: &parameters[norm.weight.clone()], affine }
    }

    /// Moves `norm`'s running statistics towards the batch's; the variance's unbiased form, as PyTorch.
    pub fn update_running(&self, norm: &Norm, running: &mut [T]) {
        let pixels = self.maps.grid().pixels() as f64;
        let (keep, unbiased) = (1.0 - MOMENTUM, pixels / (pixels - 1.0));
        let moments = &self.statistics.moments;
        let sides = [(&norm.mean, &moments.mean, 1.0), (&norm.variance, &moments.variance, unbiased)];
        for (place, batch, factor) in sides {
            for (running, batch) in running[place.clone()].iter_mut().zip(&batch[self.channels()]) {
                *running = T::of(keep * running.f64() + MOMENTUM * factor * batch.f64());
            }
        }
    }
}

/// A convolution's window.
pub(super) fn window(conv: &Conv) -> Window {
    Window { kernel: conv.kernel, stride: conv.stride, padding: conv.padding }
}

fn input<'a, T: Dispatch>(maps: Maps<'a, T>, affine: Affine<'a, T>, pooled: bool) -> Input<'a, T> {
    if pooled { Input::Pooled(maps, affine) } else { Input::PreActivation(maps, affine) }
}

/// `output = conv(relu(bn(x)))`, with the batch statistics of what it makes; `pooled` for a transition. Moves the
/// running statistics of what it reads.
pub(super) fn forward<T: Dispatch>(
    op: &PreAct,
    values: &mut Values<'_, T>,
    reads: &Reads<'_, T>,
    pooled: bool,
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    reads.update_running(&op.norm, values.running);
    let Values { parameters, probe, .. } = values;
    let (conv, seen) = (&op.conv, seen(reads, pooled));
    probe.time(Pass::Forward, macs(conv, seen), || {
        let affine = ScaleShift::of(&op.norm, parameters, reads);
        let input = input(reads.maps, affine.affine(), pooled);
        let epilogue = Epilogue { bias: conv.bias.as_ref().map(|bias| &parameters[bias.clone()]), ..epilogue };
        let weight = &parameters[conv.weight.clone()];
        match tiling::in_training(conv, seen) {
            Some(tile) => {
                let filters = Filters::new(tile, weight, conv.out_channels, conv.in_channels);
                winograd::forward_with_moments(&input, &filters, &epilogue, output)
            }
            None => {
                let panels = conv::forward_panels(weight, conv.out_channels, conv.in_channels, conv.kernel);
                conv::forward_with_moments(&input, window(conv), &panels, &epilogue, output)
            }
        }
    })
}

/// [`forward`] of a bottleneck once more: the same bits, and no statistics.
pub(super) fn forward_again<T: Dispatch>(op: &PreAct, arenas: &Arenas<'_, T>, reads: &Reads<'_, T>, output: &mut [T]) {
    let conv = &op.conv;
    arenas.probe.time(Pass::Recompute, macs(conv, reads.maps.grid()), || {
        let affine = ScaleShift::of(&op.norm, arenas.parameters, reads);
        let weight = &arenas.parameters[conv.weight.clone()];
        let panels = conv::forward_panels(weight, conv.out_channels, conv.in_channels, conv.kernel);
        let bias = conv.bias.as_ref().map(|bias| &arenas.parameters[bias.clone()]);
        let input = input(reads.maps, affine.affine(), false);
        conv::forward_again(&input, window(conv), &panels, &Epilogue { bias, ..Epilogue::default() }, output);
    });
}

/// Extents of what a convolution of stride 1 sees.
fn seen<T>(reads: &Reads<'_, T>, pooled: bool) -> Grid {
    if pooled { reads.maps.grid().halved() } else { reads.maps.grid() }
}

/// Multiply-adds of a convolution with an output of `grid`.
pub(super) fn macs(conv: &Conv, grid: Grid) -> u64 {
    (conv.weight.len() * grid.pixels()) as u64
}

/// Takes `output_gradient` back through [`forward`]: the gradients of all its parameters but the bias into the arena,
/// `gamma * dz` into `gradient`, laid out as the maps. Returns what the maps' statistics need to know.
pub(super) fn backward<T: Dispatch>(
    op: &PreAct,
    arenas: &mut Arenas<'_, T>,
    reads: &Reads<'_, T>,
    pooled: bool,
    output_gradient: &[T],
    target: (Mode, &mut [T]),
) -> NormGradient<T> {
    let affine = ScaleShift::of(&op.norm, arenas.parameters, reads);
    let (conv, affine, seen) = (&op.conv, affine.affine(), seen(reads, pooled));
    let (tile, macs) = (tiling::in_training(conv, seen), macs(conv, seen));
    let Arenas { gradients, probe, .. } = arenas;
    probe.time(Pass::WeightGradient, macs, || {
        let (input, gradient) = (input(reads.maps, affine, pooled), &mut gradients[conv.weight.clone()]);
        match tile {
            Some(tile) => winograd::weight_gradient(&input, tile, output_gradient, gradient),
            None => {
                let output_gradient = OutputGradient::Finished(output_gradient, conv.out_channels);
                conv::weight_gradient(&input, window(conv), &output_gradient, gradient);
            }
        }
    });
    let sums = arenas.probe.time(Pass::DataGradient, macs, || {
        let weight = &arenas.parameters[conv.weight.clone()];
        let reader = reads.normalised(&op.norm, arenas.parameters, affine);
        if let Some(tile) = tile {
            let filters = Filters::turned(tile, weight, conv.out_channels, conv.in_channels);
            return winograd::data_gradient(output_gradient, &filters, &reader, target);
        }
        let panels = conv::backward_panels(weight, conv.out_channels, conv.in_channels, conv.kernel);
        conv::data_gradient(output_gradient, window(conv), pooled, &panels, &reader, target)
    });
    store_norm(&op.norm, &sums, arenas.gradients);
    sums
}

/// [`backward`] of a bottleneck, whose `output` a batch-norm reads.
pub(super) fn backward_from_norm<T: Dispatch>(
    op: &PreAct,
    arenas: &mut Arenas<'_, T>,
    reads: &Reads<'_, T>,
    output: &Uncorrected<'_, T>,
    target: (Mode, &mut [T]),
) -> NormGradient<T> {
    let (conv, affine) = (&op.conv, ScaleShift::of(&op.norm, arenas.parameters, reads));
    let Arenas { parameters, gradients, probe } = arenas;
    let sums = probe.time(Pass::Gradients, 2 * macs(conv, reads.maps.grid()), || {
        let panels = conv::backward_panels(&parameters[conv.weight.clone()], conv.out_channels, conv.in_channels, 1);
        let reader = reads.normalised(&op.norm, parameters, affine.affine());
        conv::point_gradients(output, &panels, &reader, target, &mut gradients[conv.weight.clone()])
    });
    bias_gradient(conv, gradients, None);
    store_norm(&op.norm, &sums, gradients);
    sums
}

/// The gradient of a convolution's bias into the arena: the sums of that of the output where some of it is `dropped`; none
/// elsewhere, since the batch-norms that alone read the output take off whatever the bias adds.
pub(super) fn bias_gradient<T: Dispatch>(conv: &Conv, gradients: &mut [T], dropped: Option<&[T]>) {
    let Some(bias) = &conv.bias else { return };
    match dropped {
        Some(output_gradient) => {
            gradients[bias.clone()].copy_from_slice(&norm::column_sums(output_gradient, conv.out_channels));
        }
        None => gradients[bias.clone()].fill(T::zero()),
    }
}

/// Puts a batch-norm's gradients in their places.
pub(super) fn store_norm<T: Dispatch>(norm: &Norm, sums: &NormGradient<T>, gradients: &mut [T]) {
    gradients[norm.weight.clone()].copy_from_slice(&sums.gamma);
    gradients[norm.bias.clone()].copy_from_slice(&sums.beta);
}

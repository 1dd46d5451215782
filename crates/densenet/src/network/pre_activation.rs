//! One `conv(relu(bn(x)))` of the network in training, forward and backward.

use densenet_kernels::batch_norm::{Moments, NormGradient, Uncorrected, Write};
use densenet_kernels::conv::{self, Epilogue, OutputGradient, backward_bias};
use densenet_kernels::{Grid, Input, Real};

use super::shape::conv_shape;
use super::statistics::Reads;
use crate::architecture::{Conv, Norm, PreAct};
use crate::profile::{Pass, Probe};

/// The arenas of a forward pass: parameters, and the running statistics that are updated with the batch's.
pub(super) struct ForwardArenas<'a, T> {
    pub parameters: &'a [T],
    pub running: &'a mut [T],
    pub probe: Probe<'a>,
}

/// The arenas of a backward pass: parameters, and where their gradients go.
pub(super) struct BackwardArenas<'a, T> {
    pub parameters: &'a [T],
    pub gradients: &'a mut [T],
    pub probe: Probe<'a>,
}

/// Computes `output = conv(relu(bn(x)))`, with the batch statistics of the output. Updates the running statistics of
/// the input.
pub(super) fn forward<T: Real>(
    op: &PreAct,
    arenas: &mut ForwardArenas<'_, T>,
    reads: &Reads<'_, T>,
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    reads.update_running(&op.norm, arenas.running);
    let ForwardArenas { parameters, probe, .. } = arenas;
    let (conv, shape) = (&op.conv, conv_shape(&op.conv));
    probe.time(Pass::Forward, shape.macs(convolved(reads)), || {
        let affine = reads.affine(&op.norm, parameters);
        let input = Input::PreActivation { maps: reads.maps, affine: affine.affine(), pooling: reads.pooling };
        let epilogue = Epilogue { bias: bias(conv, parameters), ..epilogue };
        conv::forward_with_moments(shape, &input, &parameters[conv.weight.clone()], &epilogue, output)
    })
}

/// Repeats [`forward`] for a bottleneck: the same bits, without statistics.
pub(super) fn recompute<T: Real>(op: &PreAct, arenas: &BackwardArenas<'_, T>, reads: &Reads<'_, T>, output: &mut [T]) {
    let (conv, shape) = (&op.conv, conv_shape(&op.conv));
    arenas.probe.time(Pass::Recompute, shape.macs(convolved(reads)), || {
        let affine = reads.affine(&op.norm, arenas.parameters);
        let input = Input::pre_activation(reads.maps, affine.affine());
        let epilogue = Epilogue { bias: bias(conv, arenas.parameters), ..Epilogue::default() };
        conv::recompute_1x1(shape, &input, &arenas.parameters[conv.weight.clone()], &epilogue, output);
    });
}

/// Propagates the output's gradient `dy` back through [`forward`]: the gradients of all its parameters except the bias
/// go into the arena, `gamma * dz` to `dx`, laid out like the maps. Returns what the maps' statistics need.
pub(super) fn backward<T: Real>(
    op: &PreAct,
    arenas: &mut BackwardArenas<'_, T>,
    reads: &Reads<'_, T>,
    dy: &[T],
    write: Write,
    dx: &mut [T],
) -> NormGradient<T> {
    let affine = reads.affine(&op.norm, arenas.parameters);
    let (conv, shape) = (&op.conv, conv_shape(&op.conv));
    let macs = shape.macs(convolved(reads));
    let BackwardArenas { gradients, parameters, probe } = arenas;
    probe.time(Pass::WeightGradient, macs, || {
        let input = Input::PreActivation { maps: reads.maps, affine: affine.affine(), pooling: reads.pooling };
        let dy = OutputGradient::Finished { dy, channels: conv.out_channels };
        conv::backward_weights(shape, &input, &dy, &mut gradients[conv.weight.clone()]);
    });
    let sums = probe.time(Pass::DataGradient, macs, || {
        let reader = reads.normalised(&op.norm, parameters, affine.affine());
        conv::backward_data(shape, dy, &parameters[conv.weight.clone()], &reader, write, dx)
    });
    store_norm_gradient(&op.norm, &sums, gradients);
    sums
}

/// [`backward`] for a bottleneck, whose `output` is read by a batch-norm.
pub(super) fn backward_bottleneck<T: Real>(
    op: &PreAct,
    arenas: &mut BackwardArenas<'_, T>,
    reads: &Reads<'_, T>,
    output: &Uncorrected<'_, T>,
    write: Write,
    dx: &mut [T],
) -> NormGradient<T> {
    let (conv, affine) = (&op.conv, reads.affine(&op.norm, arenas.parameters));
    let BackwardArenas { parameters, gradients, probe } = arenas;
    let sums = probe.time(Pass::Gradients, 2 * conv_shape(conv).macs(convolved(reads)), || {
        let reader = reads.normalised(&op.norm, parameters, affine.affine());
        let weight = &parameters[conv.weight.clone()];
        conv::backward_1x1(output, weight, &reader, write, dx, &mut gradients[conv.weight.clone()])
    });
    store_bias_gradient(conv, gradients, None);
    store_norm_gradient(&op.norm, &sums, gradients);
    sums
}

/// Extents of the input of a pre-activation's convolution and, since its stride is 1, of its output.
fn convolved<T>(reads: &Reads<'_, T>) -> Grid {
    reads.pooling.output(reads.maps.grid())
}

/// A convolution's bias.
pub(super) fn bias<'a, T>(conv: &Conv, parameters: &'a [T]) -> Option<&'a [T]> {
    conv.bias.as_ref().map(|bias| &parameters[bias.clone()])
}

/// Stores the gradient of a convolution's bias: the sums of the output's gradient where some of the output was
/// `dropped`; otherwise zero, since the output is read only by batch-norms, which subtract whatever the bias adds.
pub(super) fn store_bias_gradient<T: Real>(conv: &Conv, gradients: &mut [T], dropped: Option<&[T]>) {
    let Some(bias) = &conv.bias else { return };
    match dropped {
        Some(dy) => gradients[bias.clone()].copy_from_slice(&backward_bias(dy, conv.out_channels)),
        None => gradients[bias.clone()].fill(T::zero()),
    }
}

/// Stores a batch-norm's gradients, or adds them to those of later readers that share it.
pub(super) fn store_norm_gradient<T: Real>(norm: &Norm, sums: &NormGradient<T>, gradients: &mut [T]) {
    for (place, sums) in [(&norm.weight, &sums.gamma), (&norm.bias, &sums.beta)] {
        let gradients = &mut gradients[place.clone()];
        match norm.seen_again {
            false => gradients.copy_from_slice(sums),
            true => gradients.iter_mut().zip(sums).for_each(|(gradient, &sum)| *gradient += sum),
        }
    }
}

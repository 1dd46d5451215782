//! Operations for inference: everything folded that can be folded, and every weight in the order in which it is read.
//!
//! The second batch-norm of a layer with bottleneck scales the first convolution's output channels, so it becomes part
//! of the weights and the bias; its ReLU is that convolution's epilogue. The batch-norm at the start of a
//! pre-activation cannot be folded (the ReLU is in between) and is applied during packing.

use std::borrow::Cow;

use densenet_kernels::conv::{self, ConvShape, Epilogue, MathMode, PackedConv};
use densenet_kernels::{FeatureMaps, Grid, Input, Pooling, Real, Scalar};

use super::shape::conv_shape;
use super::steps::{Part, Step};
use super::weights::{RunningAffine, Weights};
use crate::architecture::{Conv, Norm, PreAct};
use crate::profile::{Pass, Probe};

/// A convolution, with the batch-norm after it, if there is one, folded in.
#[derive(Debug)]
pub(super) struct FoldedConv<T: Scalar> {
    /// torchvision's name.
    name: String,
    packed: PackedConv<T>,
    bias: Option<Vec<T>>,
}

/// Folds `scale * y + shift` for a convolution's output channels into the convolution: scales its `weight`,
/// `[out][in][kernel][kernel]`, and returns its new bias.
pub(crate) fn fold<T: Scalar>(weight: &mut [T], bias: Option<&[T]>, scale: &[T], shift: &[T]) -> Vec<T> {
    let outputs = weight.chunks_exact_mut(weight.len() / scale.len());
    outputs.zip(scale).for_each(|(weights, &scale)| weights.iter_mut().for_each(|w| *w *= scale));
    let before = |channel: usize| bias.map_or(T::zero(), |bias| bias[channel]);
    (0..scale.len()).map(|channel| before(channel) * scale[channel] + shift[channel]).collect()
}

impl<T: Real> FoldedConv<T> {
    /// Packs `conv`, whose output is usually `height` pixels high, with the batch-norm after it folded in.
    pub fn new(conv: &Conv, norm: Option<&Norm>, height: usize, weights: &Weights<T>, mode: MathMode) -> Self {
        let mut weight = Cow::from(weights.parameter(&conv.weight));
        let mut bias = conv.bias.as_ref().map(|bias| weights.parameter(bias).to_vec());
        if let Some(norm) = norm {
            let RunningAffine { scale, shift } = weights.affine(norm);
            bias = Some(fold(weight.to_mut(), bias.as_deref(), &scale, &shift));
        }
        Self { name: conv.name.clone(), packed: conv::pack(conv_shape(conv), &weight, height, mode), bias }
    }

    /// Its channels and window.
    pub fn shape(&self) -> ConvShape {
        self.packed.shape()
    }

    /// Its operation on an input of `height` by `width`.
    pub fn step(&self, part: Part, (height, width): (usize, usize)) -> Step {
        let ConvShape { in_channels, out_channels, window } = self.shape();
        let output = window.output(Grid { images: 1, height, width });
        Step {
            name: self.name.clone(),
            part,
            in_channels,
            out_channels,
            window: [window.kernel; 2],
            output: [output.height, output.width],
            method: self.packed.algorithm().into(),
        }
    }

    /// Multiply-adds of the direct sum over `input`, before any pooling.
    fn macs(&self, input: &Input<'_, T>) -> u64 {
        let grid = match input {
            Input::PreActivation { maps, .. } => maps.grid(),
            _ => input.grid(),
        };
        self.shape().macs(self.shape().window.output(grid))
    }

    /// Computes `output[image][y][x][channel]` from `input`, with a ReLU and the residual connection's `skip`, if any.
    pub fn run(&self, input: &Input<'_, T>, relu: bool, skip: Option<&[T]>, output: &mut [T], probe: Probe<'_>) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), relu, skip, dropout: None };
        let forward = || conv::forward(&self.packed, input, &epilogue, output);
        probe.at(&self.name).time(Pass::Forward, self.macs(input), forward);
    }
}

/// A pre-activation convolution.
#[derive(Debug)]
pub(super) struct FoldedPreAct<T: Scalar> {
    pub affine: RunningAffine<T>,
    pub conv: FoldedConv<T>,
}

impl<T: Real> FoldedPreAct<T> {
    /// Packs `op`, whose output is usually `height` pixels high, with the batch-norm after it folded in.
    pub fn new(op: &PreAct, norm: Option<&Norm>, height: usize, weights: &Weights<T>, mode: MathMode) -> Self {
        Self { affine: weights.affine(&op.norm), conv: FoldedConv::new(&op.conv, norm, height, weights, mode) }
    }

    /// The part of `maps` that it reads, as its input.
    pub fn input<'a>(&'a self, maps: FeatureMaps<'a, T>, pooling: Pooling) -> Input<'a, T> {
        Input::PreActivation { maps, affine: self.affine.affine(), pooling }
    }
}

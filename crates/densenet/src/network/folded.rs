//! Operations of inference: everything folded that can be folded, every weight in the order in which it is read.
//!
//! The second batch-norm of a bottlenecked layer scales the first convolution's output channels, so it becomes part of
//! the weights and the bias; its ReLU is that convolution's epilogue. The batch-norm at the start of a pre-activation
//! cannot be folded (the ReLU is in between) and stays in the packing.

use std::borrow::Cow;

use densenet_kernels::conv::{self, Epilogue};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::Grid;
use densenet_kernels::patch::{Affine, Input, Window};
use densenet_kernels::winograd::{self, Filters};
use densenet_kernels::{Element, Panels, norm};

use super::DenseNet;
use super::pre_activation::window;
use super::steps::{Method, Part, Step};
use super::tiling;
use crate::architecture::{Conv, Norm, PreAct};
use crate::profile::{Pass, Probe};

/// A batch-norm with its running statistics.
#[derive(Debug)]
pub(super) struct RunningAffine<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Dispatch> RunningAffine<T> {
    pub fn new(norm: &Norm, network: &DenseNet<T>) -> Self {
        let (parameters, running) = (&network.parameters, &network.running);
        let inv_std = norm::inv_std(&running[norm.variance.clone()]);
        let (gamma, beta) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
        let (scale, shift) = norm::affine(gamma, beta, &running[norm.mean.clone()], &inv_std);
        Self { scale, shift }
    }

    pub fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

/// A convolution's weights, ready for one of the ways to compute it.
#[derive(Debug)]
enum Weights<T> {
    Plain(Panels<T>),
    Winograd(Filters<T>),
}

/// A convolution with perhaps a batch-norm behind it.
#[derive(Debug)]
pub(super) struct FoldedConv<T> {
    /// torchvision's.
    name: String,
    window: Window,
    weights: Weights<T>,
    bias: Option<Vec<T>>,
}

/// Takes `scale * y + shift` of a convolution's output channels into it: scales its `weight`, `[out][in][kernel][kernel]`,
/// and returns its new bias.
pub(crate) fn fold<T: Element>(weight: &mut [T], bias: Option<&[T]>, (scale, shift): (&[T], &[T])) -> Vec<T> {
    let outputs = weight.chunks_exact_mut(weight.len() / scale.len());
    outputs.zip(scale).for_each(|(weights, &scale)| weights.iter_mut().for_each(|w| *w *= scale));
    let before = |channel: usize| bias.map_or(T::zero(), |bias| bias[channel]);
    (0..scale.len()).map(|channel| before(channel) * scale[channel] + shift[channel]).collect()
}

impl<T: Dispatch> FoldedConv<T> {
    /// Prepares `conv`, whose output is usually `height` pixels high, and the batch-norm `behind` it.
    pub fn new(conv: &Conv, behind: Option<&Norm>, height: usize, network: &DenseNet<T>) -> Self {
        let mut weight = Cow::from(&network.parameters[conv.weight.clone()]);
        let mut bias = conv.bias.as_ref().map(|bias| network.parameters[bias.clone()].to_vec());
        if let Some(norm) = behind {
            let RunningAffine { scale, shift } = RunningAffine::new(norm, network);
            bias = Some(fold(weight.to_mut(), bias.as_deref(), (&scale, &shift)));
        }
        let (window, out, channels) = (window(conv), conv.out_channels, conv.in_channels);
        let weights = match tiling::in_inference(conv, height) {
            Some(tile) => Weights::Winograd(Filters::new(tile, &weight, out, channels)),
            None => Weights::Plain(conv::forward_panels(&weight, out, channels, conv.kernel)),
        };
        Self { name: conv.name.clone(), window, weights, bias }
    }

    /// Output channels.
    pub fn columns(&self) -> usize {
        match &self.weights {
            Weights::Plain(panels) => panels.columns(),
            Weights::Winograd(filters) => filters.columns(),
        }
    }

    /// Input channels.
    fn channels(&self) -> usize {
        match &self.weights {
            Weights::Plain(panels) => panels.depth() / (self.window.kernel * self.window.kernel),
            Weights::Winograd(filters) => filters.channels(),
        }
    }

    /// Its window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What it does to an input of `height` by `width`.
    pub fn step(&self, part: Part, (height, width): (usize, usize)) -> Step {
        let output = self.window.output(Grid { images: 1, height, width });
        Step {
            name: self.name.clone(),
            part,
            in_channels: self.channels(),
            out_channels: self.columns(),
            window: [self.window.kernel; 2],
            output: [output.height, output.width],
            method: match &self.weights {
                Weights::Plain(_) => Method::Plain,
                Weights::Winograd(filters) => filters.tile().into(),
            },
        }
    }

    /// Multiply-adds of the plain sum over `input`, in front of any pooling.
    fn macs(&self, input: &Input<'_, T>) -> u64 {
        let grid = match input {
            Input::Pooled(maps, _) => maps.grid(),
            _ => input.grid(),
        };
        let weights = self.window.kernel * self.window.kernel * self.channels() * self.columns();
        (weights * self.window.output(grid).pixels()) as u64
    }

    pub fn run(&self, input: &Input<'_, T>, relu: bool, skip: Option<&[T]>, output: &mut [T], probe: Probe<'_>) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), relu, skip, dropout: None };
        probe.at(&self.name).time(Pass::Forward, self.macs(input), || match &self.weights {
            Weights::Plain(panels) => conv::forward(input, self.window, panels, &epilogue, output),
            Weights::Winograd(filters) => winograd::forward(input, filters, &epilogue, output),
        });
    }
}

/// A pre-activation convolution.
#[derive(Debug)]
pub(super) struct FoldedPreAct<T> {
    pub affine: RunningAffine<T>,
    pub conv: FoldedConv<T>,
}

impl<T: Dispatch> FoldedPreAct<T> {
    /// Prepares `op`, whose output is usually `height` pixels high, and the batch-norm `behind` it.
    pub fn new(op: &PreAct, behind: Option<&Norm>, height: usize, network: &DenseNet<T>) -> Self {
        Self { affine: RunningAffine::new(&op.norm, network), conv: FoldedConv::new(&op.conv, behind, height, network) }
    }
}

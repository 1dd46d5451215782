//! Inference: the network with everything folded that can be folded.
//!
//! The second batch-norm of a bottlenecked layer scales the first convolution's output channels, so it becomes part of
//! the weights and the bias; its ReLU is that convolution's epilogue. The batch-norm at the start of a pre-activation
//! cannot be folded (the ReLU is in between) and stays in the packing.

use densenet_kernels::conv::{self, Epilogue};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::patch::{Affine, Input, Window};
use densenet_kernels::{Panels, head, norm, stem};

use super::DenseNet;
use super::ends::{classifier_panels, classify, pool};
use super::pre_activation::window;
use crate::architecture::{Block, Conv, DenseLayer, Norm, PreAct};
use crate::config::Joining;
use crate::{Architecture, Result};

/// A network ready to answer.
#[derive(Debug)]
pub(super) struct Predictor<T> {
    stem: FoldedConv<T>,
    stem_affine: Option<RunningAffine<T>>,
    blocks: Vec<ReadyBlock<T>>,
    final_affine: RunningAffine<T>,
    classifier: Panels<T>,
    classifier_bias: Vec<T>,
}

/// A batch-norm with its running statistics.
#[derive(Debug)]
struct RunningAffine<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

/// A convolution with perhaps a batch-norm behind it.
#[derive(Debug)]
struct FoldedConv<T> {
    window: Window,
    panels: Panels<T>,
    bias: Option<Vec<T>>,
}

#[derive(Debug)]
struct ReadyPreAct<T> {
    affine: RunningAffine<T>,
    conv: FoldedConv<T>,
}

#[derive(Debug)]
struct ReadyLayer<T> {
    /// The layer's first pre-activation; the batch-norm behind it is folded in where there is a bottleneck.
    first: ReadyPreAct<T>,
    /// The 3x3 behind a bottleneck.
    second: Option<FoldedConv<T>>,
}

#[derive(Debug)]
struct ReadyBlock<T> {
    widths: Vec<usize>,
    layers: Vec<ReadyLayer<T>>,
    transition: Option<ReadyPreAct<T>>,
}

impl<T: Dispatch> RunningAffine<T> {
    fn new(norm: &Norm, network: &DenseNet<T>) -> Self {
        let (parameters, running) = (&network.parameters, &network.running);
        let inv_std = norm::inv_std(&running[norm.variance.clone()]);
        let (gamma, beta) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
        let (scale, shift) = norm::affine(gamma, beta, &running[norm.mean.clone()], &inv_std);
        Self { scale, shift }
    }

    fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

impl<T: Dispatch> FoldedConv<T> {
    fn new(conv: &Conv, behind: Option<&Norm>, network: &DenseNet<T>) -> Self {
        let mut weight = network.parameters[conv.weight.clone()].to_vec();
        let mut bias = conv.bias.as_ref().map(|bias| network.parameters[bias.clone()].to_vec());
        if let Some(norm) = behind {
            let RunningAffine { scale, shift } = RunningAffine::new(norm, network);
            let outputs = weight.chunks_exact_mut(conv.in_channels * conv.kernel * conv.kernel);
            outputs.zip(&scale).for_each(|(weights, &scale)| weights.iter_mut().for_each(|w| *w *= scale));
            let before = bias.unwrap_or_else(|| vec![T::zero(); conv.out_channels]);
            bias = Some(before.iter().zip(&scale).zip(shift).map(|((&b, &scale), shift)| b * scale + shift).collect());
        }
        let panels = conv::forward_panels(&weight, conv.out_channels, conv.in_channels, conv.kernel);
        Self { window: window(conv), panels, bias }
    }

    fn run(&self, input: &Input<'_, T>, relu: bool, skip: Option<&[T]>, output: &mut [T]) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), relu, skip, dropout: None };
        conv::forward(input, self.window, &self.panels, &epilogue, output);
    }
}

impl<T: Dispatch> ReadyPreAct<T> {
    fn new(op: &PreAct, behind: Option<&Norm>, network: &DenseNet<T>) -> Self {
        Self { affine: RunningAffine::new(&op.norm, network), conv: FoldedConv::new(&op.conv, behind, network) }
    }
}

impl<T: Dispatch> ReadyLayer<T> {
    fn new(layer: &DenseLayer, network: &DenseNet<T>) -> Self {
        match &layer.bottleneck {
            None => Self { first: ReadyPreAct::new(&layer.conv, None, network), second: None },
            Some(bottleneck) => Self {
                first: ReadyPreAct::new(bottleneck, Some(&layer.conv.norm), network),
                second: Some(FoldedConv::new(&layer.conv.conv, None, network)),
            },
        }
    }

    fn run(&self, maps: Maps<'_, T>, skip: Option<&[T]>, narrow: &mut Vec<T>, output: &mut [T]) {
        let input = Input::PreActivation(maps, self.first.affine.affine());
        let Some(second) = &self.second else {
            return self.first.conv.run(&input, false, skip, output);
        };
        let width = self.first.conv.panels.columns();
        narrow.resize(width * maps.grid().pixels(), T::zero());
        self.first.conv.run(&input, true, None, narrow);
        second.run(&Input::Raw(narrow, maps.grid(), width), false, skip, output);
    }
}

impl<T: Dispatch> ReadyBlock<T> {
    fn new(block: &Block, network: &DenseNet<T>) -> Self {
        Self {
            widths: block.widths().collect(),
            layers: block.layers.iter().map(|layer| ReadyLayer::new(layer, network)).collect(),
            transition: block.transition.as_ref().map(|op| ReadyPreAct::new(op, None, network)),
        }
    }

    /// Maps `from..=upto` of the block's buffer.
    fn maps<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining, upto: usize) -> Maps<'a, T> {
        let from = if joining == Joining::Dense { 0 } else { upto };
        let before = |i: usize| self.widths[..i].iter().sum::<usize>() * grid.pixels();
        Maps::new(&buffer[before(from)..before(upto + 1)], grid, &self.widths[from..=upto])
    }

    /// Runs all layers in a buffer whose first map is there.
    fn run(&self, buffer: &mut [T], grid: Grid, joining: Joining, narrow: &mut Vec<T>) {
        let mut made = self.widths[0] * grid.pixels();
        for (i, layer) in self.layers.iter().enumerate() {
            let (before, behind) = buffer.split_at_mut(made);
            let output = &mut behind[..self.widths[i + 1] * grid.pixels()];
            let maps = self.maps(before, grid, joining, i);
            let skip = (joining == Joining::Residual).then(|| &before[made - output.len()..]);
            layer.run(maps, skip, narrow, output);
            made += output.len();
        }
    }
}

impl<T: Dispatch> Predictor<T> {
    pub fn new(network: &DenseNet<T>) -> Self {
        let DenseNet { architecture: arch, parameters, .. } = network;
        let weight = &parameters[arch.classifier_weight.clone()];
        Self {
            stem: FoldedConv::new(&arch.stem_conv, None, network),
            stem_affine: arch.stem_norm.as_ref().map(|norm| RunningAffine::new(norm, network)),
            blocks: arch.blocks.iter().map(|block| ReadyBlock::new(block, network)).collect(),
            final_affine: RunningAffine::new(&arch.final_norm, network),
            classifier: classifier_panels(weight, arch.config.num_classes),
            classifier_bias: parameters[arch.classifier_bias.clone()].to_vec(),
        }
    }

    /// Logits `(N, classes)` of pictures `(N, C, H, W)`.
    pub fn logits(&self, arch: &Architecture, images: &[T], grid: Grid) -> Result<Vec<T>> {
        let sizes = arch.block_sizes(grid.height, grid.width)?;
        let joining = arch.config.joining;
        let (mut narrow, mut buffer) = (Vec::new(), Vec::new());
        let mut before: Option<(&ReadyBlock<T>, Vec<T>, Grid)> = None;
        for (block, &(height, width)) in self.blocks.iter().zip(&sizes) {
            let here = Grid { height, width, ..grid };
            buffer.resize(block.widths.iter().sum::<usize>() * here.pixels(), T::zero());
            let first = &mut buffer[..block.widths[0] * here.pixels()];
            match &before {
                None => self.stem(arch, images, grid, &mut narrow, first),
                Some((block, buffer, grid)) => {
                    let transition = block.transition.as_ref().expect("all but the last have one");
                    let maps = block.maps(buffer, *grid, joining, block.layers.len());
                    transition.conv.run(&Input::Pooled(maps, transition.affine.affine()), false, None, first);
                }
            }
            block.run(&mut buffer, here, joining, &mut narrow);
            before = Some((block, std::mem::take(&mut buffer), here));
        }
        let (block, buffer, here) = before.expect("at least one block");
        let maps = block.maps(&buffer, here, joining, block.layers.len());
        let mut pooled = vec![T::zero(); grid.images * arch.final_norm.channels];
        head::forward(&maps, self.final_affine.affine(), arch.config.final_relu, &mut pooled);
        let mut logits = vec![T::zero(); grid.images * arch.config.num_classes];
        classify(&pooled, grid.images, &self.classifier, &self.classifier_bias, &mut logits);
        Ok(logits)
    }

    fn stem(&self, arch: &Architecture, images: &[T], grid: Grid, raw: &mut Vec<T>, output: &mut [T]) {
        let input = Input::Pictures(images, grid, arch.config.in_channels);
        let Some(affine) = &self.stem_affine else {
            return self.stem.run(&input, false, None, output);
        };
        let (grid, widths) = (self.stem.window.output(grid), [self.stem.panels.columns()]);
        raw.resize(grid.pixels() * widths[0], T::zero());
        self.stem.run(&input, false, None, raw);
        stem::forward(&Maps::new(raw, grid, &widths), affine.affine(), pool(arch), output);
    }
}

//! Stem and blocks of a network in int8: their packed weights, and how they run.

use densenet_kernels::int8::{self, IntegerInput};
use densenet_kernels::{Affine, Aligned, FeatureMaps, Grid, Pooling};
use rayon::prelude::*;

use super::batch::Batch;
use super::body::Body;
use super::integer_conv::Packed;
use super::integer_stem::IntegerStem;
use super::shape::conv_shape;
use super::steps::{Part, Step};
use super::weights::Weights;
use crate::architecture::{Block, Conv, DenseLayer, PreAct};
use crate::profile::Probe;
use crate::quantization::{Quantization, QuantizedMaps, Requantize};

/// Stem, blocks and transitions.
#[derive(Debug)]
pub(super) struct IntegerBody {
    stem: IntegerStem,
    blocks: Vec<IntegerBlock>,
}

#[derive(Debug)]
struct IntegerBlock {
    /// Channels of each feature map.
    map_channels: Vec<usize>,
    layers: Vec<IntegerLayer>,
    transition: Option<IntegerOp>,
    /// From the maps' bytes to floating-point numbers.
    numbers: Requantize,
}

#[derive(Debug)]
struct IntegerLayer {
    /// The layer's first convolution.
    first: IntegerOp,
    /// The 3x3 convolution after a bottleneck.
    second: Option<Packed>,
}

/// A convolution and its input.
#[derive(Debug)]
struct IntegerOp {
    /// From maps to activations.
    read: Requantize,
    conv: Packed,
}

/// The source from which the blocks are packed.
#[derive(Clone, Copy)]
struct Source<'a> {
    weights: &'a Weights<f32>,
    quantization: &'a Quantization,
}

impl Source<'_> {
    fn pack(self, conv: &Conv, write: Requantize) -> Packed {
        let integers = &self.quantization.convs[&conv.name];
        Packed { name: conv.name.clone(), conv: int8::pack(conv_shape(conv), &integers.weight), write }
    }

    fn bias(&self, conv: &Conv) -> Option<&[f32]> {
        conv.bias.as_ref().map(|bias| self.weights.parameter(bias))
    }

    /// Packs `op`, which reads `maps` and writes a map with the channels of `to` from `first` on.
    fn to_map(self, op: &PreAct, maps: &QuantizedMaps, to: &QuantizedMaps, first: usize) -> IntegerOp {
        let integers = &self.quantization.convs[&op.conv.name];
        let read = integers.read(maps, self.weights.affine(&op.norm).affine());
        IntegerOp { read, conv: self.pack(&op.conv, integers.write_map(self.bias(&op.conv), to, first)) }
    }

    /// Packs a layer that reads `maps` and writes the channels from `first` on.
    fn layer(self, layer: &DenseLayer, maps: &QuantizedMaps, first: usize) -> IntegerLayer {
        let Some(bottleneck) = &layer.bottleneck else {
            return IntegerLayer { first: self.to_map(&layer.conv, maps, maps, first), second: None };
        };
        let [one, three] = [&bottleneck.conv, &layer.conv.conv].map(|conv| &self.quantization.convs[&conv.name]);
        let norm = self.weights.affine(&layer.conv.norm);
        let write = one.write_activations(self.bias(&bottleneck.conv), norm.affine(), three);
        let read = one.read(maps, self.weights.affine(&bottleneck.norm).affine());
        let conv = &layer.conv.conv;
        IntegerLayer {
            first: IntegerOp { read, conv: self.pack(&bottleneck.conv, write) },
            second: Some(self.pack(conv, three.write_map(self.bias(conv), maps, first))),
        }
    }

    fn block(self, number: usize, block: &Block) -> IntegerBlock {
        let maps = &self.quantization.maps[number];
        let map_channels: Vec<usize> = block.widths().collect();
        let layers = block.layers.par_iter().enumerate();
        let layers = layers.map(|(i, layer)| self.layer(layer, maps, map_channels[..=i].iter().sum()));
        let transition = block.transition.as_ref();
        IntegerBlock {
            layers: layers.collect(),
            transition: transition.map(|op| self.to_map(op, maps, &self.quantization.maps[number + 1], 0)),
            numbers: maps.dequantize(),
            map_channels,
        }
    }
}

impl IntegerBody {
    /// Packs stem and blocks of a network.
    pub fn new(weights: &Weights<f32>, quantization: &Quantization) -> Self {
        let source = Source { weights, quantization };
        let blocks = weights.architecture.blocks.iter().enumerate();
        Self {
            stem: IntegerStem::new(weights, quantization),
            blocks: blocks.map(|(number, block)| source.block(number, block)).collect(),
        }
    }
}

impl IntegerOp {
    fn input<'a>(&'a self, maps: FeatureMaps<'a, u8>, pooling: Pooling) -> IntegerInput<'a> {
        IntegerInput::PreActivation { maps, affine: self.read.affine(), pooling }
    }
}

impl IntegerLayer {
    /// Computes the layer's output from the `maps` that it reads, with `intermediate` as working memory.
    fn run(&self, maps: FeatureMaps<'_, u8>, output: &mut [u8], intermediate: &mut Aligned<u8>, probe: Probe<'_>) {
        let input = self.first.input(maps, Pooling::None);
        let Some(second) = &self.second else {
            return self.first.conv.run(&input, output, probe);
        };
        let (grid, channels) = (maps.grid(), self.first.conv.conv.shape().out_channels);
        let bottleneck = intermediate.at_least(channels * grid.pixels());
        self.first.conv.run(&input, bottleneck, probe);
        second.run(&IntegerInput::Raw { data: bottleneck, grid, channels }, output, probe);
    }
}

impl IntegerBlock {
    /// All maps in the block's buffer before `layer`.
    fn maps<'a>(&'a self, buffer: &'a [u8], grid: Grid, layer: usize) -> FeatureMaps<'a, u8> {
        let channels = &self.map_channels[..=layer];
        FeatureMaps::new(&buffer[..channels.iter().sum::<usize>() * grid.pixels()], grid, channels)
    }
}

impl Body<f32> for IntegerBody {
    type Element = u8;

    fn map_channels(&self, block: usize) -> &[usize] {
        &self.blocks[block].map_channels
    }

    fn stem(&self, batch: Batch<'_, f32>, raw: &mut Aligned<u8>, output: &mut [u8], probe: Probe<'_>) {
        self.stem.run(batch, raw, output, probe);
    }

    fn block(&self, block: usize, buffer: &mut [u8], grid: Grid, intermediate: &mut Aligned<u8>, probe: Probe<'_>) {
        let block = &self.blocks[block];
        let mut done = block.map_channels[0] * grid.pixels();
        for (i, layer) in block.layers.iter().enumerate() {
            let (before, rest) = buffer.split_at_mut(done);
            let output = &mut rest[..block.map_channels[i + 1] * grid.pixels()];
            layer.run(block.maps(before, grid, i), output, intermediate, probe);
            done += output.len();
        }
    }

    fn transition(&self, block: usize, buffer: &[u8], grid: Grid, output: &mut [u8], probe: Probe<'_>) {
        let block = &self.blocks[block];
        let transition = block.transition.as_ref().expect("all blocks but the last have one");
        let maps = block.maps(buffer, grid, block.layers.len());
        transition.conv.run(&transition.input(maps, Pooling::Average2x2), output, probe);
    }

    fn maps<'a>(
        &'a self,
        block: usize,
        buffer: &'a [u8],
        grid: Grid,
        numbers: &'a mut Aligned<f32>,
    ) -> FeatureMaps<'a, f32> {
        let block = &self.blocks[block];
        let numbers = numbers.at_least(buffer.len());
        let affine = block.numbers.affine();
        let (mut first, mut done) = (0, 0);
        for &channels in &block.map_channels {
            let (all, part) = (first..first + channels, done..done + channels * grid.pixels());
            let affine = Affine { scale: &affine.scale[all.clone()], shift: &affine.shift[all] };
            int8::dequantize(&buffer[part.clone()], affine, &mut numbers[part.clone()]);
            (first, done) = (first + channels, part.end);
        }
        FeatureMaps::new(numbers, grid, &block.map_channels)
    }

    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step> {
        let blocks = self.blocks.iter().zip(sizes);
        let steps = blocks.flat_map(|(block, &(height, width))| {
            let layers = block.layers.iter().flat_map(move |layer| {
                let part = if layer.second.is_some() { Part::Bottleneck } else { Part::Layer };
                let second = layer.second.as_ref().map(|conv| conv.step(Part::Layer, (height, width)));
                std::iter::once(layer.first.conv.step(part, (height, width))).chain(second)
            });
            let transition = block
                .transition
                .as_ref()
                .map(|op| Step { output: [height / 2, width / 2], ..op.conv.step(Part::Transition, (height, width)) });
            layers.chain(transition)
        });
        self.stem.steps(extents, sizes[0]).chain(steps).collect()
    }
}

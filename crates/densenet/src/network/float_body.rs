//! Stem and blocks of a network in floating-point inference: their packed weights, and how they run.

use std::ops::Range;

use densenet_kernels::conv::MathMode;
use densenet_kernels::{Aligned, FeatureMaps, Grid, Input, Pooling, Real};
use rayon::prelude::*;

use super::batch::Batch;
use super::body::Body;
use super::float_stem::FloatStem;
use super::folded::{FoldedConv, FoldedPreAct};
use super::steps::{Method, Part, Step};
use super::weights::Weights;
use crate::Architecture;
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;
use crate::profile::Probe;

/// Stem, blocks and transitions.
#[derive(Debug)]
pub(super) struct FloatBody<T: Real> {
    stem: FloatStem<T>,
    joining: Joining,
    pub blocks: Vec<PackedBlock<T>>,
}

#[derive(Debug)]
pub(super) struct PackedLayer<T: Real> {
    /// The layer's first pre-activation; with a bottleneck, the batch-norm after it is folded in.
    pub first: FoldedPreAct<T>,
    /// The 3x3 convolution after a bottleneck.
    second: Option<FoldedConv<T>>,
}

#[derive(Debug)]
pub(super) struct PackedBlock<T: Real> {
    /// Channels of each feature map.
    pub map_channels: Vec<usize>,
    pub layers: Vec<PackedLayer<T>>,
    pub transition: Option<FoldedPreAct<T>>,
}

impl<T: Real> PackedLayer<T> {
    fn new(layer: &DenseLayer, height: usize, weights: &Weights<T>, mode: MathMode) -> Self {
        match &layer.bottleneck {
            None => Self { first: FoldedPreAct::new(&layer.conv, None, height, weights, mode), second: None },
            Some(bottleneck) => Self {
                first: FoldedPreAct::new(bottleneck, Some(&layer.conv.norm), height, weights, mode),
                second: Some(FoldedConv::new(&layer.conv.conv, None, height, weights, mode)),
            },
        }
    }

    /// Computes the layer's output from the `maps` that it reads, with `intermediate` as working memory.
    fn run(
        &self,
        maps: FeatureMaps<'_, T>,
        skip: Option<&[T]>,
        output: &mut [T],
        intermediate: &mut Aligned<T>,
        probe: Probe<'_>,
    ) {
        let input = self.first.input(maps, Pooling::None);
        let Some(second) = &self.second else {
            return self.first.conv.run(&input, false, skip, output, probe);
        };
        let (grid, channels) = (maps.grid(), self.first.conv.shape().out_channels);
        let bottleneck = intermediate.at_least(channels * grid.pixels());
        self.first.conv.run(&input, true, None, bottleneck, probe);
        second.run(&Input::Raw { data: bottleneck, grid, channels }, false, skip, output, probe);
    }

    fn steps(&self, extents: (usize, usize)) -> impl Iterator<Item = Step> {
        let part = if self.second.is_some() { Part::Bottleneck } else { Part::Layer };
        let second = self.second.as_ref().map(|conv| conv.step(Part::Layer, extents));
        std::iter::once(self.first.conv.step(part, extents)).chain(second)
    }
}

impl<T: Real> PackedBlock<T> {
    fn new(block: &Block, height: usize, weights: &Weights<T>, mode: MathMode) -> Self {
        Self {
            map_channels: block.widths().collect(),
            layers: block.layers.par_iter().map(|layer| PackedLayer::new(layer, height, weights, mode)).collect(),
            transition: block.transition.as_ref().map(|op| FoldedPreAct::new(op, None, height, weights, mode)),
        }
    }

    /// What layer number `layer`, from 0, reads of the block's buffer (past the last layer: what the operation after
    /// the block reads): all earlier maps (dense), or the newest.
    pub fn maps<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining, layer: usize) -> FeatureMaps<'a, T> {
        let read = joining.read_by(layer);
        FeatureMaps::new(&buffer[self.elements(&read, grid)], grid, &self.map_channels[read])
    }

    /// Channels of all maps.
    pub fn channels(&self) -> usize {
        self.map_channels.iter().sum()
    }

    /// Where maps are in the block's buffer.
    pub fn elements(&self, maps: &Range<usize>, grid: Grid) -> Range<usize> {
        let before = |map: usize| self.map_channels[..map].iter().sum::<usize>() * grid.pixels();
        before(maps.start)..before(maps.end)
    }

    /// All maps that the block passes on.
    pub fn output<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining) -> FeatureMaps<'a, T> {
        self.maps(buffer, grid, joining, self.layers.len())
    }

    /// Computes all maps except the first, with which `buffer` begins.
    pub fn run(&self, buffer: &mut [T], grid: Grid, joining: Joining, intermediate: &mut Aligned<T>, probe: Probe<'_>) {
        let mut done = self.map_channels[0] * grid.pixels();
        for (i, layer) in self.layers.iter().enumerate() {
            let (before, rest) = buffer.split_at_mut(done);
            let output = &mut rest[..self.map_channels[i + 1] * grid.pixels()];
            let maps = self.maps(before, grid, joining, i);
            let skip = (joining == Joining::Residual).then(|| &before[done - output.len()..]);
            layer.run(maps, skip, output, intermediate, probe);
            done += output.len();
        }
    }
    /// Its operations on maps of `height` by `width`.
    fn steps(&self, (height, width): (usize, usize)) -> impl Iterator<Item = Step> {
        let transition = self.transition.as_ref().map(|transition| Step {
            output: [height / 2, width / 2],
            method: Method::PooledFirst,
            ..transition.conv.step(Part::Transition, (height, width))
        });
        self.layers.iter().flat_map(move |layer| layer.steps((height, width))).chain(transition)
    }
}

impl<T: Real> FloatBody<T> {
    /// Packs stem and blocks of a network, whose maps usually have these `heights`, for products of this `mode`.
    pub fn new(arch: &Architecture, heights: &[(usize, usize)], weights: &Weights<T>, mode: MathMode) -> Self {
        let blocks = arch.blocks.par_iter().zip(heights.par_iter());
        let blocks = blocks.map(|(block, &(height, _))| PackedBlock::new(block, height, weights, mode)).collect();
        Self { stem: FloatStem::new(heights[0].0, weights), joining: arch.config.joining, blocks }
    }
}

impl<T: Real> Body<T> for FloatBody<T> {
    type Element = T;

    fn map_channels(&self, block: usize) -> &[usize] {
        &self.blocks[block].map_channels
    }

    fn stem(&self, batch: Batch<'_, T>, raw: &mut Aligned<T>, output: &mut [T], probe: Probe<'_>) {
        self.stem.run(batch, raw, output, probe);
    }

    fn block(&self, block: usize, buffer: &mut [T], grid: Grid, intermediate: &mut Aligned<T>, probe: Probe<'_>) {
        self.blocks[block].run(buffer, grid, self.joining, intermediate, probe);
    }

    fn transition(&self, block: usize, buffer: &[T], grid: Grid, output: &mut [T], probe: Probe<'_>) {
        let packed = &self.blocks[block];
        let transition = packed.transition.as_ref().expect("all blocks but the last have one");
        let input = transition.input(packed.output(buffer, grid, self.joining), Pooling::Average2x2);
        transition.conv.run(&input, false, None, output, probe);
    }

    fn maps<'a>(&'a self, block: usize, buffer: &'a [T], grid: Grid, _: &'a mut Aligned<T>) -> FeatureMaps<'a, T> {
        self.blocks[block].output(buffer, grid, self.joining)
    }

    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step> {
        let blocks = self.blocks.iter().zip(sizes).flat_map(|(block, &extents)| block.steps(extents));
        self.stem.steps(extents, sizes[0]).chain(blocks).collect()
    }
}

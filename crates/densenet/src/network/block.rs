//! A dense block in training, forward and backward, in one buffer.

use std::ops::Range;

use densenet_kernels::batch_norm::{self, Moments, Uncorrected, Write};
use densenet_kernels::conv::Epilogue;
use densenet_kernels::random::Stream;
use densenet_kernels::{Dropout, FeatureMaps, Pooling, Real};

use super::memory::{Parts, Room};
use super::pre_activation::{self, BackwardArenas, ForwardArenas, store_bias_gradient};
use super::statistics::{Reads, Statistics};
use super::sum::add_scaled;
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;
use crate::profile::{Pass, Probe};

/// What a block keeps from the forward pass for the backward pass, besides the values in the step's memory.
#[derive(Debug)]
pub(super) struct BlockState<T> {
    /// The location of those values.
    pub room: Room,
    /// Channels of each feature map.
    map_channels: Vec<usize>,
    pub statistics: Statistics<T>,
    /// Statistics of each layer's bottleneck output.
    bottleneck_statistics: Vec<Statistics<T>>,
}

/// Settings for a whole step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub joining: Joining,
    pub drop_rate: f64,
    pub dropout_seed: u64,
    /// The probe of the head; those of other stages are derived from it.
    pub probe: Probe<'a>,
}

impl Step<'_> {
    /// The dropout of a layer, numbered over the whole network.
    fn dropout(&self, layer: usize) -> Option<Dropout> {
        let stream = Stream::new(self.dropout_seed, layer as u64);
        (self.drop_rate > 0.0).then_some(Dropout { stream, rate: self.drop_rate })
    }
}

/// What a layer reads and writes in the forward pass.
struct LayerMemory<'a, T> {
    /// The maps before the layer's.
    before: &'a [T],
    /// The bottleneck's output.
    bottleneck: &'a mut [T],
    /// The layer's map.
    output: &'a mut [T],
}

impl<T: Real> BlockState<T> {
    /// The state of a block at the start of a step, with its values in `room`.
    pub fn new(block: &Block, room: Room) -> Self {
        Self {
            room,
            map_channels: block.widths().collect(),
            statistics: Statistics::default(),
            bottleneck_statistics: Vec::with_capacity(block.layers.len()),
        }
    }

    /// Channels before map `i`.
    fn before(&self, i: usize) -> usize {
        self.map_channels[..i].iter().sum()
    }

    /// Elements of the maps of `range`.
    pub fn elements(&self, range: &Range<usize>) -> Range<usize> {
        let pixels = self.room.grid.pixels();
        self.before(range.start) * pixels..self.before(range.end) * pixels
    }

    /// The maps in `range` for reading, with the pooling of their reader; `maps` are a block's maps, at least up to the
    /// last of them.
    pub fn reads<'a>(&'a self, maps: &'a [T], range: Range<usize>, pooling: Pooling) -> Reads<'a, T> {
        let first = self.before(range.start);
        let maps = FeatureMaps::new(&maps[self.elements(&range)], self.room.grid, &self.map_channels[range]);
        Reads { maps, first, statistics: &self.statistics, pooling }
    }

    /// Numbers of the maps that the transition or the head reads.
    pub fn last(&self, step: &Step<'_>) -> Range<usize> {
        step.joining.read_by(self.map_channels.len() - 1)
    }

    /// Runs all layers, from the first map on; the first layer is number `first_layer` of the network.
    pub fn forward(
        &mut self,
        block: &Block,
        first_layer: usize,
        step: &Step<'_>,
        maps: &mut [T],
        bottlenecks: &mut [T],
        arenas: &mut ForwardArenas<'_, T>,
    ) {
        for (i, layer) in block.layers.iter().enumerate() {
            let output = self.elements(&(i + 1..i + 2));
            let (before, rest) = maps.split_at_mut(output.start);
            let output = &mut rest[..output.len()];
            let skip = (step.joining == Joining::Residual).then(|| &before[before.len() - output.len()..]);
            let epilogue = Epilogue { dropout: step.dropout(first_layer + i), skip, ..Epilogue::default() };
            let bottleneck = &mut bottlenecks[self.room.bottleneck_of(i)];
            let memory = LayerMemory { before, bottleneck, output };
            let moments = self.layer_forward(layer, step.joining.read_by(i), memory, epilogue, arenas);
            self.statistics.push(&moments);
        }
    }

    fn layer_forward(
        &mut self,
        layer: &DenseLayer,
        read: Range<usize>,
        memory: LayerMemory<'_, T>,
        epilogue: Epilogue<'_, T>,
        arenas: &mut ForwardArenas<'_, T>,
    ) -> Moments<T> {
        let LayerMemory { before, bottleneck: bottleneck_output, output } = memory;
        let reads = self.reads(before, read, Pooling::None);
        let Some(bottleneck) = &layer.bottleneck else {
            return pre_activation::forward(&layer.conv, arenas, &reads, epilogue, output);
        };
        let moments = pre_activation::forward(bottleneck, arenas, &reads, Epilogue::default(), bottleneck_output);
        let (statistics, channels) = (Statistics::of(&moments), [bottleneck.conv.out_channels]);
        let maps = FeatureMaps::new(bottleneck_output, self.room.grid, &channels);
        let reads = Reads { maps, first: 0, statistics: &statistics, pooling: Pooling::None };
        let moments = pre_activation::forward(&layer.conv, arenas, &reads, epilogue, output);
        self.bottleneck_statistics.push(statistics);
        moments
    }

    /// Propagates the gradient back through all layers, last first. On entry, `dx` of the parts holds the gradient of
    /// the maps read at the block's end; on return, its first map holds the gradient of the block's input.
    pub fn backward(
        &mut self,
        block: &Block,
        first_layer: usize,
        step: &Step<'_>,
        arenas: &mut BackwardArenas<'_, T>,
        parts: &mut Parts<'_, T>,
    ) {
        for (i, layer) in block.layers.iter().enumerate().rev() {
            self.finish(i + 1, step, arenas.probe, parts);
            self.layer_backward(layer, i, step, step.dropout(first_layer + i), arenas, parts);
        }
        self.finish(0, step, arenas.probe, parts);
    }

    /// Applies the single batch-norm correction of map `i`, and adds the gradient that skipped the layer reading it.
    fn finish(&self, i: usize, step: &Step<'_>, probe: Probe<'_>, parts: &mut Parts<'_, T>) {
        let range = self.elements(&(i..i + 1));
        let channels = self.before(i)..self.before(i + 1);
        let (dx, rest) = parts.dx[range.start..].split_at_mut(range.len());
        let (map, correction) = (&parts.maps[range], self.statistics.correction(channels));
        probe.time(Pass::Rest, 0, || {
            batch_norm::finish(dx, map, &correction);
            if step.joining == Joining::Residual && i + 1 < self.map_channels.len() {
                let skipped = &rest[..dx.len()];
                add_scaled(dx, skipped, T::one());
            }
        });
    }

    fn layer_backward(
        &mut self,
        layer: &DenseLayer,
        i: usize,
        step: &Step<'_>,
        dropout: Option<Dropout>,
        arenas: &mut BackwardArenas<'_, T>,
        parts: &mut Parts<'_, T>,
    ) {
        let read = step.joining.read_by(i);
        let (from, to) = (self.elements(&read), self.elements(&(i + 1..i + 2)));
        let Parts { maps, bottlenecks, dx, bottleneck_gradient } = parts;
        let (before, rest) = dx.split_at_mut(to.start);
        let (dx, mut dy) = (&mut before[from], &mut rest[..to.len()]);
        let mut own = Vec::new();
        if let Some(dropout) = dropout {
            arenas.probe.time(Pass::Rest, 0, || {
                // The gradient that skips the layer must not be dropped.
                if step.joining == Joining::Residual {
                    own.extend_from_slice(dy);
                    dy = &mut own;
                }
                dropout.apply_to_map(dy, self.map_channels[i + 1], self.room.grid);
            });
        }
        store_bias_gradient(&layer.conv.conv, arenas.gradients, dropout.is_some().then_some(&*dy));
        let write = if step.joining == Joining::Dense { Write::Accumulate } else { Write::Overwrite };
        let reads = self.reads(maps, read, Pooling::None);
        let first = reads.first;
        let (reader, sums) = match &layer.bottleneck {
            None => (&layer.conv, pre_activation::backward(&layer.conv, arenas, &reads, dy, write, dx)),
            Some(bottleneck) => {
                let output = &mut bottlenecks[self.room.bottleneck_of(i)];
                if i < self.room.recomputed {
                    pre_activation::recompute(bottleneck, arenas, &reads, output);
                }
                let statistics = self.conv_backward(layer, i, arenas, dy, output, bottleneck_gradient);
                let correction = statistics.correction(0..bottleneck.conv.out_channels);
                let output = Uncorrected { g: bottleneck_gradient, map: output, correction };
                (bottleneck, pre_activation::backward_bottleneck(bottleneck, arenas, &reads, &output, write, dx))
            }
        };
        self.statistics.add_reader(first, &arenas.parameters[reader.norm.weight.clone()], &sums);
    }

    /// Propagates the gradient `dy` of layer `i` back to the output of its bottleneck, into `dx`, and returns the
    /// statistics for its correction.
    fn conv_backward(
        &self,
        layer: &DenseLayer,
        i: usize,
        arenas: &mut BackwardArenas<'_, T>,
        dy: &[T],
        bottleneck_output: &[T],
        dx: &mut [T],
    ) -> Statistics<T> {
        let (statistics, channels) = (&self.bottleneck_statistics[i], [layer.conv.conv.in_channels]);
        let maps = FeatureMaps::new(bottleneck_output, self.room.grid, &channels);
        let reads = Reads { maps, first: 0, statistics, pooling: Pooling::None };
        let sums = pre_activation::backward(&layer.conv, arenas, &reads, dy, Write::Overwrite, dx);
        let mut statistics = statistics.clone();
        statistics.add_reader(0, &arenas.parameters[layer.conv.norm.weight.clone()], &sums);
        statistics
    }
}

//! A dense block in training, forward and backward, in one buffer.

use densenet_kernels::Dropout;
use densenet_kernels::conv::Epilogue;
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::Maps;
use densenet_kernels::norm::{self, Mode, Moments, Uncorrected};
use densenet_kernels::random::Stream;

use super::accumulate::add;
use super::memory::{Parts, Room};
use super::pre_activation::{self as pre_act, Arenas, Reads, Statistics, Values};
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;
use crate::profile::{Pass, Probe};

/// What a block keeps from the forward pass for the backward pass, beside the values in the step's memory.
#[derive(Debug)]
pub(super) struct BlockState<T> {
    /// Where those are.
    pub room: Room,
    /// Channels of each feature map.
    pub widths: Vec<usize>,
    pub statistics: Statistics<T>,
    /// Of each layer's bottleneck output.
    narrow_statistics: Vec<Statistics<T>>,
}

/// What holds for a whole step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub joining: Joining,
    pub drop_rate: f64,
    pub dropout_seed: u64,
    /// At the head; other stages are reached from it.
    pub probe: Probe<'a>,
}

impl Step<'_> {
    /// The dropout of a layer, counted over the whole network.
    fn dropout(&self, layer: usize) -> Option<Dropout> {
        let stream = Stream::new(self.dropout_seed, layer as u64);
        (self.drop_rate > 0.0).then_some(Dropout { stream, rate: self.drop_rate })
    }

    /// The maps that layer `i` of a block reads: all before it, or the last.
    fn read_by(&self, i: usize) -> std::ops::Range<usize> {
        match self.joining {
            Joining::Dense => 0..i + 1,
            Joining::Residual | Joining::Plain => i..i + 1,
        }
    }
}

impl<T: Dispatch> BlockState<T> {
    /// That of a block that is about to begin a step, with its values in `room`.
    pub fn new(block: &Block, room: Room) -> Self {
        Self {
            room,
            widths: block.widths().collect(),
            statistics: Statistics::default(),
            narrow_statistics: Vec::with_capacity(block.layers.len()),
        }
    }

    /// Channels before map `i`.
    fn before(&self, i: usize) -> usize {
        self.widths[..i].iter().sum()
    }

    /// Elements of the maps of `range`.
    pub fn elements(&self, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let pixels = self.room.grid.pixels();
        self.before(range.start) * pixels..self.before(range.end) * pixels
    }

    /// Those of `maps` in `range` for reading; `maps` may end behind them.
    pub fn reads<'a>(&'a self, maps: &'a [T], range: std::ops::Range<usize>) -> Reads<'a, T> {
        let first = self.before(range.start);
        let maps = Maps::new(&maps[self.elements(&range)], self.room.grid, &self.widths[range]);
        Reads { maps, first, statistics: &self.statistics }
    }

    /// Numbers of the maps that the transition or the head reads.
    pub fn last(&self, step: &Step<'_>) -> std::ops::Range<usize> {
        step.read_by(self.widths.len() - 1)
    }

    /// All layers; the first is number `first_layer` of the network.
    pub fn forward(
        &mut self,
        block: &Block,
        first_layer: usize,
        step: &Step<'_>,
        (maps, bottlenecks): (&mut [T], &mut [T]),
        values: &mut Values<'_, T>,
    ) {
        for (i, layer) in block.layers.iter().enumerate() {
            let (before, behind) = maps.split_at_mut(self.elements(&(i + 1..i + 2)).start);
            let output = &mut behind[..self.widths[i + 1] * self.room.grid.pixels()];
            let skip = (step.joining == Joining::Residual).then(|| &before[before.len() - output.len()..]);
            let epilogue = Epilogue { dropout: step.dropout(first_layer + i), skip, ..Epilogue::default() };
            let narrow = &mut bottlenecks[self.room.narrow_at(i)];
            let read = step.read_by(i);
            let moments = self.layer_forward(layer, (before, read), narrow, epilogue, output, values);
            self.statistics.push(&moments);
        }
    }

    fn layer_forward(
        &mut self,
        layer: &DenseLayer,
        (maps, read): (&[T], std::ops::Range<usize>),
        narrow: &mut [T],
        epilogue: Epilogue<'_, T>,
        output: &mut [T],
        values: &mut Values<'_, T>,
    ) -> Moments<T> {
        let reads = self.reads(maps, read);
        let Some(bottleneck) = &layer.bottleneck else {
            return pre_act::forward(&layer.conv, values, &reads, false, epilogue, output);
        };
        let moments = pre_act::forward(bottleneck, values, &reads, false, Epilogue::default(), narrow);
        let (statistics, widths) = (Statistics::of(&moments), [bottleneck.conv.out_channels]);
        let reads = Reads { maps: Maps::new(narrow, self.room.grid, &widths), first: 0, statistics: &statistics };
        let moments = pre_act::forward(&layer.conv, values, &reads, false, epilogue, output);
        self.narrow_statistics.push(statistics);
        moments
    }

    /// All layers, last first. On entry the parts' gradient holds what the block's end passed back to the maps that it
    /// read, on return its first map holds the gradient of the block's input.
    pub fn backward(
        &mut self,
        block: &Block,
        first_layer: usize,
        step: &Step<'_>,
        arenas: &mut Arenas<'_, T>,
        parts: &mut Parts<'_, T>,
    ) {
        for (i, layer) in block.layers.iter().enumerate().rev() {
            self.finish(i + 1, step, arenas.probe, parts);
            self.layer_backward(layer, i, step, step.dropout(first_layer + i), arenas, parts);
        }
        self.finish(0, step, arenas.probe, parts);
    }

    /// The one batch-norm correction of map `i`, and what skipped the layer that reads it.
    fn finish(&self, i: usize, step: &Step<'_>, probe: Probe<'_>, parts: &mut Parts<'_, T>) {
        let range = self.elements(&(i..i + 1));
        let channels = self.before(i)..self.before(i + 1);
        let (gradient, behind) = parts.gradient[range.start..].split_at_mut(range.len());
        let (map, correction) = (&parts.maps[range], self.statistics.correction(channels));
        probe.time(Pass::Rest, 0, || {
            norm::finish(gradient, map, &correction);
            if step.joining == Joining::Residual && i + 1 < self.widths.len() {
                let skipped = &behind[..gradient.len()];
                add(gradient, skipped, T::one());
            }
        });
    }

    fn layer_backward(
        &mut self,
        layer: &DenseLayer,
        i: usize,
        step: &Step<'_>,
        dropout: Option<Dropout>,
        arenas: &mut Arenas<'_, T>,
        parts: &mut Parts<'_, T>,
    ) {
        let read = step.read_by(i);
        let (from, to) = (self.elements(&read), self.elements(&(i + 1..i + 2)));
        let Parts { maps, bottlenecks, gradient, narrow_gradient } = parts;
        let (before, behind) = gradient.split_at_mut(to.start);
        let (gradient, mut output_gradient) = (&mut before[from], &mut behind[..to.len()]);
        let mut own = Vec::new();
        if let Some(dropout) = dropout {
            arenas.probe.time(Pass::Rest, 0, || {
                // What skips the layer must not be dropped.
                if step.joining == Joining::Residual {
                    own.extend_from_slice(output_gradient);
                    output_gradient = &mut own;
                }
                dropout.apply_to_map(output_gradient, self.widths[i + 1], self.room.grid);
            });
        }
        let conv = &layer.conv.conv;
        pre_act::bias_gradient(conv, arenas.gradients, dropout.is_some().then_some(&*output_gradient));
        let mode = if step.joining == Joining::Dense { Mode::Add } else { Mode::Set };
        let reads = self.reads(maps, read);
        let first = reads.first;
        let (reader, sums) = match &layer.bottleneck {
            None => {
                let target = (mode, gradient);
                (&layer.conv, pre_act::backward(&layer.conv, arenas, &reads, false, output_gradient, target))
            }
            Some(bottleneck) => {
                let narrow = &mut bottlenecks[self.room.narrow_at(i)];
                if i < self.room.recomputed {
                    pre_act::forward_again(bottleneck, arenas, &reads, narrow);
                }
                let statistics = self.narrow_backward(layer, i, arenas, output_gradient, (narrow, narrow_gradient));
                let correction = statistics.correction(0..bottleneck.conv.out_channels);
                let output = Uncorrected { gradient: narrow_gradient, map: narrow, correction };
                (bottleneck, pre_act::backward_from_norm(bottleneck, arenas, &reads, &output, (mode, gradient)))
            }
        };
        self.statistics.add_reader(first, &arenas.parameters[reader.norm.weight.clone()], &sums);
    }

    /// The gradient of layer `i`'s bottleneck output `narrow`, into `gradient`, and the statistics that correct it.
    fn narrow_backward(
        &self,
        layer: &DenseLayer,
        i: usize,
        arenas: &mut Arenas<'_, T>,
        output_gradient: &[T],
        (narrow, gradient): (&[T], &mut [T]),
    ) -> Statistics<T> {
        let (statistics, widths) = (&self.narrow_statistics[i], [layer.conv.conv.in_channels]);
        let reads = Reads { maps: Maps::new(narrow, self.room.grid, &widths), first: 0, statistics };
        let sums = pre_act::backward(&layer.conv, arenas, &reads, false, output_gradient, (Mode::Set, gradient));
        let mut statistics = statistics.clone();
        statistics.add_reader(0, &arenas.parameters[layer.conv.norm.weight.clone()], &sums);
        statistics
    }
}

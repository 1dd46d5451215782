//! A dense block in training, forward and backward, in one buffer.

use densenet_kernels::Dropout;
use densenet_kernels::conv::Epilogue;
use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::norm::{self, Mode, Moments};
use densenet_kernels::random::Stream;

use super::pre_activation::{self as pre_act, Arenas, Reads, Statistics};
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;

/// What a block keeps from the forward pass for the backward pass.
#[derive(Debug)]
pub(super) struct BlockState<T> {
    pub grid: Grid,
    /// Channels of each feature map.
    pub widths: Vec<usize>,
    /// The feature maps, one behind the other.
    pub maps: Vec<T>,
    pub statistics: Statistics<T>,
    /// Each layer's bottleneck output.
    bottlenecks: Vec<(Vec<T>, Statistics<T>)>,
}

/// What holds for a whole step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub joining: Joining,
    pub drop_rate: f64,
    pub dropout_seed: u64,
}

impl Step {
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
    pub fn new(block: &Block) -> Self {
        let bottlenecks = block.layers.iter().map(|_| (Vec::new(), Statistics::default())).collect();
        Self {
            grid: Grid { images: 0, height: 0, width: 0 },
            widths: block.widths().collect(),
            maps: Vec::new(),
            statistics: Statistics::default(),
            bottlenecks,
        }
    }

    /// Makes room for feature maps of `grid` and returns the place of the first.
    pub fn start(&mut self, grid: Grid) -> &mut [T] {
        self.grid = grid;
        self.statistics.clear();
        self.maps.resize(self.widths.iter().sum::<usize>() * grid.pixels(), T::zero());
        &mut self.maps[..self.widths[0] * grid.pixels()]
    }

    /// Channels before map `i`.
    fn before(&self, i: usize) -> usize {
        self.widths[..i].iter().sum()
    }

    /// Elements of the maps of `range`.
    fn elements(&self, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.before(range.start) * self.grid.pixels()..self.before(range.end) * self.grid.pixels()
    }

    /// The maps of `range` for reading.
    pub fn reads(&self, range: std::ops::Range<usize>) -> Reads<'_, T> {
        let maps = Maps::new(&self.maps[self.elements(&range)], self.grid, &self.widths[range.clone()]);
        Reads { maps, first: self.before(range.start), statistics: &self.statistics }
    }

    /// What the transition or the head reads.
    pub fn read_last(&self, step: &Step) -> Reads<'_, T> {
        self.reads(step.read_by(self.widths.len() - 1))
    }

    /// Where `read_last`'s gradient lies.
    pub fn last_elements(&self, step: &Step) -> std::ops::Range<usize> {
        self.elements(&step.read_by(self.widths.len() - 1))
    }

    /// All layers; the first is number `first_layer` of the network.
    pub fn forward(&mut self, block: &Block, first_layer: usize, step: &Step, parameters: &[T], running: &mut [T]) {
        for (i, layer) in block.layers.iter().enumerate() {
            let moments = self.layer_forward(layer, i, step, step.dropout(first_layer + i), parameters, running);
            self.statistics.push(&moments);
        }
    }

    fn layer_forward(
        &mut self,
        layer: &DenseLayer,
        i: usize,
        step: &Step,
        dropout: Option<Dropout>,
        parameters: &[T],
        running: &mut [T],
    ) -> Moments<T> {
        let read = step.read_by(i);
        let (from, to) = (self.elements(&read), self.elements(&(i + 1..i + 2)));
        let first = self.before(read.start);
        let (before, behind) = self.maps.split_at_mut(to.start);
        let maps = Maps::new(&before[from], self.grid, &self.widths[read]);
        let reads = Reads { maps, first, statistics: &self.statistics };
        let skip = (step.joining == Joining::Residual).then(|| &before[to.start - to.len()..]);
        let epilogue = Epilogue { dropout, skip, ..Epilogue::default() };
        let output = &mut behind[..to.len()];
        let Some(bottleneck) = &layer.bottleneck else {
            reads.update_running(&layer.conv.norm, running);
            return pre_act::forward(&layer.conv, parameters, &reads, false, epilogue, output);
        };
        let (narrow, statistics) = &mut self.bottlenecks[i];
        narrow.resize(bottleneck.conv.out_channels * self.grid.pixels(), T::zero());
        reads.update_running(&bottleneck.norm, running);
        let moments = pre_act::forward(bottleneck, parameters, &reads, false, Epilogue::default(), narrow);
        statistics.clear();
        statistics.push(&moments);
        let widths = [bottleneck.conv.out_channels];
        let reads = Reads { maps: Maps::new(narrow, self.grid, &widths), first: 0, statistics };
        reads.update_running(&layer.conv.norm, running);
        pre_act::forward(&layer.conv, parameters, &reads, false, epilogue, output)
    }

    /// All layers, last first. `gradient` is laid out as the maps; on entry it holds what the block's end passed back
    /// to the maps that it read, on return its first map holds the gradient of the block's input.
    pub fn backward(
        &mut self,
        block: &Block,
        first_layer: usize,
        step: &Step,
        arenas: &mut Arenas<'_, T>,
        gradient: &mut [T],
    ) {
        for (i, layer) in block.layers.iter().enumerate().rev() {
            self.finish(i + 1, step, gradient);
            self.layer_backward(layer, i, step, step.dropout(first_layer + i), arenas, gradient);
        }
        self.finish(0, step, gradient);
    }

    /// The one batch-norm correction of map `i`, and what skipped the layer that reads it.
    fn finish(&mut self, i: usize, step: &Step, gradient: &mut [T]) {
        let range = self.elements(&(i..i + 1));
        let channels = self.before(i)..self.before(i + 1);
        let (gradient, behind) = gradient[range.start..].split_at_mut(range.len());
        norm::finish(gradient, &self.maps[range], &self.statistics.correction(channels));
        if step.joining == Joining::Residual && i + 1 < self.widths.len() {
            gradient.iter_mut().zip(behind).for_each(|(to, from)| *to += *from);
        }
    }

    fn layer_backward(
        &mut self,
        layer: &DenseLayer,
        i: usize,
        step: &Step,
        dropout: Option<Dropout>,
        arenas: &mut Arenas<'_, T>,
        gradient: &mut [T],
    ) {
        let read = step.read_by(i);
        let (from, to) = (self.elements(&read), self.elements(&(i + 1..i + 2)));
        let first = self.before(read.start);
        let (before, behind) = gradient.split_at_mut(to.start);
        let (gradient, output_gradient) = (&mut before[from], &mut behind[..to.len()]);
        // What skips the layer must not be dropped, so the layer's own share is a copy.
        let mut dropped = Vec::new();
        let mut output_gradient = &*output_gradient;
        if let Some(dropout) = dropout {
            dropped.extend_from_slice(output_gradient);
            dropout.apply_to_map(&mut dropped, self.widths[i + 1], self.grid);
            output_gradient = &dropped;
        }
        let mode = if step.joining == Joining::Dense { Mode::Add } else { Mode::Set };
        let reads = self.reads(read);
        let (reader, sums) = match &layer.bottleneck {
            None => {
                let target = (mode, gradient);
                (&layer.conv, pre_act::backward(&layer.conv, arenas, &reads, false, output_gradient, target))
            }
            Some(bottleneck) => {
                let narrow = self.narrow_backward(layer, i, arenas, output_gradient);
                (bottleneck, pre_act::backward(bottleneck, arenas, &reads, false, &narrow, (mode, gradient)))
            }
        };
        self.statistics.add_reader(first, &arenas.parameters[reader.norm.weight.clone()], &sums);
    }

    /// The gradient of layer `i`'s bottleneck output.
    fn narrow_backward(
        &self,
        layer: &DenseLayer,
        i: usize,
        arenas: &mut Arenas<'_, T>,
        output_gradient: &[T],
    ) -> Vec<T> {
        let (narrow, statistics) = &self.bottlenecks[i];
        let widths = [layer.conv.conv.in_channels];
        let reads = Reads { maps: Maps::new(narrow, self.grid, &widths), first: 0, statistics };
        let mut gradient = vec![T::zero(); narrow.len()];
        let target = (Mode::Set, gradient.as_mut_slice());
        let sums = pre_act::backward(&layer.conv, arenas, &reads, false, output_gradient, target);
        let mut statistics = statistics.clone();
        statistics.add_reader(0, &arenas.parameters[layer.conv.norm.weight.clone()], &sums);
        norm::finish(&mut gradient, narrow, &statistics.correction(0..widths[0]));
        gradient
    }
}

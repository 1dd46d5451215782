//! Inference: a network whose weights are packed, and the memory that it works in.
//!
//! Images go through in groups: a block works on as many as its maps stay in the cache for, and takes the output of the
//! block before it group by group. So memory does not grow with the batch, early blocks with their large maps take few
//! images, and late blocks with their large weights take many. A prediction does not depend on the grouping.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use densenet_kernels::{Aligned, FeatureMaps, Grid, Input, Pooling, Real, head, stem};
use rayon::prelude::*;

use super::classifier::Classifier;
use super::folded::{FoldedConv, FoldedPreAct};
use super::shape::{head_pool, stem_pool};
use super::steps::{Method, Part, Step};
use super::weights::{RunningAffine, Weights};
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;
use crate::profile::{Pass, Probe};
use crate::{Architecture, Result};

/// Elements of feature maps that a group of images may have in a block: in `f32` 8 MiB, a part of a common
/// last-level cache.
const GROUP: usize = 2 * 1024 * 1024;

/// Name of the stem's batch-norm, ReLU and pooling: that of the last of them.
const STEM_POOL: &str = "features.pool0";

/// Name of the last batch-norm, with the ReLU and global pooling, which have none.
const HEAD_POOL: &str = "features.norm5";

/// Pictures to predict.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a, T> {
    /// `(N, C, H, W)`.
    pub pictures: &'a [T],
    pub grid: Grid,
}

impl<T> Batch<'_, T> {
    /// Some `images` of it.
    fn images(&self, images: Range<usize>) -> Self {
        let image = self.pictures.len() / self.grid.images;
        let pictures = &self.pictures[images.start * image..images.end * image];
        Self { pictures, grid: Grid { images: images.len(), ..self.grid } }
    }
}

/// Where predictions go.
pub(super) struct Outputs<'a, T> {
    /// `(N, features)`: what the classifier reads.
    pub features: Option<&'a mut [T]>,
    /// `(N, classes)`.
    pub logits: Option<&'a mut [T]>,
}

/// Called with the maps after each block: the block's number, the images, their maps.
type WatchMaps<'a, T> = &'a mut (dyn FnMut(usize, Range<usize>, FeatureMaps<'_, T>) + Send);

/// Who watches a prediction.
pub(super) struct Watch<'a, T> {
    pub maps: WatchMaps<'a, T>,
    pub probe: Probe<'a>,
}

/// A network whose weights are packed for inference.
#[derive(Debug)]
pub(super) struct Predictor<T: Real> {
    joining: Joining,
    in_channels: usize,
    stem: FoldedConv<T>,
    stem_end: StemEnd<T>,
    pub blocks: Vec<PackedBlock<T>>,
    pub final_affine: RunningAffine<T>,
    pub final_relu: bool,
    pub head_pool: head::Pool,
    num_features: usize,
    classifier: Classifier<T>,
    /// Working memory that no prediction is using.
    idle: Mutex<Vec<Workspace<T>>>,
}

/// What follows the stem's convolution.
#[derive(Debug)]
enum StemEnd<T> {
    Nothing,
    /// A ReLU; the batch-norm is folded in.
    Relu,
    /// Batch-norm, ReLU and pooling.
    Pool(RunningAffine<T>, stem::Pool),
}

#[derive(Debug)]
pub(super) struct PackedLayer<T: Real> {
    /// The layer's first pre-activation; the batch-norm after it is folded in where there is a bottleneck.
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

/// What one prediction works in; kept for the next one.
#[derive(Debug)]
struct Workspace<T> {
    /// Extents of the pictures that it is laid out for.
    extents: (usize, usize),
    /// Extents of each block's maps.
    sizes: Vec<(usize, usize)>,
    /// Each block's maps.
    buffers: Vec<Aligned<T>>,
    /// Output of a bottleneck or of the stem's convolution.
    intermediate: Aligned<T>,
    features: Aligned<T>,
    /// Output of each linear layer but the last.
    hidden: Vec<Aligned<T>>,
}

impl<T: Real> PackedLayer<T> {
    fn new(layer: &DenseLayer, height: usize, weights: &Weights<T>) -> Self {
        match &layer.bottleneck {
            None => Self { first: FoldedPreAct::new(&layer.conv, None, height, weights), second: None },
            Some(bottleneck) => Self {
                first: FoldedPreAct::new(bottleneck, Some(&layer.conv.norm), height, weights),
                second: Some(FoldedConv::new(&layer.conv.conv, None, height, weights)),
            },
        }
    }

    /// Makes the layer's output of the `maps` that it reads, by way of `intermediate`.
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
    fn new(block: &Block, height: usize, weights: &Weights<T>) -> Self {
        Self {
            map_channels: block.widths().collect(),
            layers: block.layers.par_iter().map(|layer| PackedLayer::new(layer, height, weights)).collect(),
            transition: block.transition.as_ref().map(|op| FoldedPreAct::new(op, None, height, weights)),
        }
    }

    /// Channels of all maps.
    pub fn channels(&self) -> usize {
        self.map_channels.iter().sum()
    }

    /// Images that are in the block at a time.
    fn group(&self, grid: Grid) -> usize {
        (GROUP / (self.channels() * grid.height * grid.width)).clamp(1, grid.images)
    }

    /// What layer `layer`, counted from 0, or what follows the last, reads of the block's buffer: all maps that there are
    /// (dense), or the newest.
    pub fn maps<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining, layer: usize) -> FeatureMaps<'a, T> {
        let read = joining.read_by(layer);
        FeatureMaps::new(&buffer[self.elements(&read, grid)], grid, &self.map_channels[read])
    }

    /// Where maps lie in the block's buffer.
    pub fn elements(&self, maps: &Range<usize>, grid: Grid) -> Range<usize> {
        let before = |map: usize| self.map_channels[..map].iter().sum::<usize>() * grid.pixels();
        before(maps.start)..before(maps.end)
    }

    /// All maps that the block hands on.
    pub fn output<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining) -> FeatureMaps<'a, T> {
        self.maps(buffer, grid, joining, self.layers.len())
    }

    /// Runs all layers in a buffer whose first map is there.
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

    /// What it does to maps of `height` by `width`.
    fn steps(&self, (height, width): (usize, usize)) -> impl Iterator<Item = Step> {
        let transition = self.transition.as_ref().map(|transition| Step {
            output: [height / 2, width / 2],
            method: Method::PooledFirst,
            ..transition.conv.step(Part::Transition, (height, width))
        });
        self.layers.iter().flat_map(move |layer| layer.steps((height, width))).chain(transition)
    }
}

impl<T: Real> Workspace<T> {
    fn new() -> Self {
        Self {
            extents: (0, 0),
            sizes: vec![],
            buffers: vec![],
            intermediate: Aligned::default(),
            features: Aligned::default(),
            hidden: vec![],
        }
    }
}

/// Pictures on their way through the network.
struct Passage<'a, 'b, T: Real> {
    predictor: &'a Predictor<T>,
    batch: Batch<'a, T>,
    sizes: &'a [(usize, usize)],
    intermediate: &'a mut Aligned<T>,
    watch: &'a mut Watch<'b, T>,
}

impl<T: Real> Passage<'_, '_, T> {
    /// Makes the maps of `block` of a group of `images` in the last of `buffers`, which holds one for each block up to it.
    fn block(&mut self, block: usize, images: Range<usize>, buffers: &mut [Aligned<T>]) {
        let predictor = self.predictor;
        let packed = &predictor.blocks[block];
        let grid = self.grid(block, images.len());
        let (buffer, before) = buffers.split_last_mut().expect("one a block");
        let buffer = buffer.at_least(packed.channels() * grid.pixels());
        let image = packed.map_channels[0] * grid.height * grid.width;
        self.input(block, images.clone(), before, image, &mut buffer[..image * images.len()]);
        packed.run(buffer, grid, predictor.joining, self.intermediate, self.watch.probe);
        (self.watch.maps)(block, images, packed.output(buffer, grid, predictor.joining));
    }

    /// Makes the first map of `block`, `image` elements for each of `images`.
    fn input(
        &mut self,
        block: usize,
        images: Range<usize>,
        buffers: &mut [Aligned<T>],
        image: usize,
        output: &mut [T],
    ) {
        let predictor = self.predictor;
        let Some(before) = block.checked_sub(1) else {
            return predictor.stem(self.batch.images(images), self.intermediate, output, self.watch.probe);
        };
        let packed = &predictor.blocks[before];
        let group = packed.group(self.grid(before, images.len()));
        let transition = packed.transition.as_ref().expect("all blocks but the last have one");
        for start in images.clone().step_by(group) {
            let some = start..images.end.min(start + group);
            self.block(before, some.clone(), buffers);
            let grid = self.grid(before, some.len());
            let maps = packed.output(&buffers[before][..packed.channels() * grid.pixels()], grid, predictor.joining);
            let output = &mut output[(some.start - images.start) * image..(some.end - images.start) * image];
            let input = transition.input(maps, Pooling::Average2x2);
            transition.conv.run(&input, false, None, output, self.watch.probe);
        }
    }

    /// Extents of the maps of `images` images in `block`.
    fn grid(&self, block: usize, images: usize) -> Grid {
        let (height, width) = self.sizes[block];
        Grid { images, height, width }
    }
}

impl<T: Real> Predictor<T> {
    /// Packs the weights of a network for pictures of about its native size; other sizes take the same packing, which may
    /// suit them less.
    pub fn new(weights: &Weights<T>) -> Self {
        let arch = &weights.architecture;
        let size = arch.config.input_size;
        let heights = arch.block_sizes(size, size).expect("a network takes pictures of its own size");
        let (stem_norm, stem_end) = match (&arch.stem_norm, arch.stem_pool) {
            (None, _) => (None, StemEnd::Nothing),
            (Some(norm), Some(pool)) => (None, StemEnd::Pool(weights.affine(norm), stem_pool(pool))),
            (folded, None) => (folded.as_ref(), StemEnd::Relu),
        };
        let blocks = arch.blocks.par_iter().zip(heights.par_iter());
        Self {
            joining: arch.config.joining,
            in_channels: arch.config.in_channels,
            stem: FoldedConv::new(&arch.stem_conv, stem_norm, heights[0].0, weights),
            stem_end,
            blocks: blocks.map(|(block, &(height, _))| PackedBlock::new(block, height, weights)).collect(),
            final_affine: weights.affine(&arch.final_norm),
            final_relu: arch.config.final_relu,
            head_pool: head_pool(arch.config.head_pool),
            num_features: arch.num_features,
            classifier: Classifier::new(weights),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Makes the first map of the first block; where the stem pools, `raw` gets what its convolution makes.
    pub fn stem(&self, batch: Batch<'_, T>, raw: &mut Aligned<T>, output: &mut [T], probe: Probe<'_>) {
        let Self { stem, stem_end, in_channels, .. } = self;
        let input = Input::Pictures { data: batch.pictures, grid: batch.grid, channels: *in_channels };
        let StemEnd::Pool(affine, pool) = stem_end else {
            let relu = matches!(stem_end, StemEnd::Relu);
            return stem.run(&input, relu, None, output, probe);
        };
        let (grid, map_channels) = (stem.shape().window.output(batch.grid), [stem.shape().out_channels]);
        let raw = raw.at_least(grid.pixels() * map_channels[0]);
        stem.run(&input, false, None, raw, probe);
        let maps = FeatureMaps::new(raw, grid, &map_channels);
        probe.at(STEM_POOL).time(Pass::Rest, 0, || stem::forward(&maps, affine.affine(), *pool, output));
    }

    /// Packs the classifier anew, whose parameters have changed.
    pub fn pack_classifier(&mut self, weights: &Weights<T>) {
        self.classifier = Classifier::new(weights);
    }

    /// The operations of inference on pictures of `extents`, which give the blocks' maps `sizes`.
    pub fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step> {
        let stem = self.stem.step(Part::Stem, extents);
        let pool = |name: &str, part, channels, window, output| Step {
            name: name.into(),
            part,
            in_channels: channels,
            out_channels: channels,
            window,
            output,
            method: Method::Pooling,
        };
        let (first, last) = (sizes[0].into(), (*sizes.last().expect("a network has blocks")).into());
        let stem_pool = match self.stem_end {
            StemEnd::Pool(_, by) => {
                Some(pool(STEM_POOL, Part::Stem, stem.out_channels, [by.window().kernel; 2], first))
            }
            StemEnd::Nothing | StemEnd::Relu => None,
        };
        let (window, output) = match self.head_pool {
            head::Pool::Average | head::Pool::Max => (last, [1, 1]),
            head::Pool::Flatten => ([1, 1], last),
        };
        let head = pool(HEAD_POOL, Part::Head, self.final_affine.scale.len(), window, output);
        let blocks = self.blocks.iter().zip(sizes).flat_map(|(block, &extents)| block.steps(extents));
        let stem = std::iter::once(stem).chain(stem_pool);
        stem.chain(blocks).chain([head]).chain(self.classifier.steps()).collect()
    }

    /// Predicts a batch.
    ///
    /// # Errors
    /// A picture size that the network cannot take.
    pub fn run(
        &self,
        arch: &Architecture,
        batch: Batch<'_, T>,
        outputs: Outputs<'_, T>,
        mut watch: Watch<'_, T>,
    ) -> Result<()> {
        let workspace = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = workspace.unwrap_or_else(Workspace::new);
        let extents = (batch.grid.height, batch.grid.width);
        if workspace.extents != extents {
            workspace.sizes = arch.block_sizes(extents.0, extents.1)?;
            workspace.extents = extents;
            workspace.buffers.resize_with(self.blocks.len(), Aligned::default);
        }
        let Workspace { sizes, buffers, intermediate, features: own, hidden, .. } = &mut workspace;
        let images = batch.grid.images;
        let Outputs { features, logits } = outputs;
        let features = features.unwrap_or_else(|| own.at_least(images * self.num_features));
        let probe = watch.probe;
        self.pool(&mut Passage { predictor: self, batch, sizes, intermediate, watch: &mut watch }, buffers, features);
        if let Some(logits) = logits {
            self.classifier.run(images, features, hidden, logits, probe);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(())
    }

    /// Makes the `features` `(N, C)` of all pictures.
    fn pool(&self, passage: &mut Passage<'_, '_, T>, buffers: &mut [Aligned<T>], features: &mut [T]) {
        let (last, count) = (self.blocks.len() - 1, self.num_features);
        let (block, affine) = (&self.blocks[last], self.final_affine.affine());
        let images = features.len() / count;
        let group = block.group(passage.grid(last, images));
        for start in (0..images).step_by(group) {
            let some = start..images.min(start + group);
            passage.block(last, some.clone(), buffers);
            let grid = passage.grid(last, some.len());
            let maps = block.output(&buffers[last][..block.channels() * grid.pixels()], grid, self.joining);
            let features = &mut features[some.start * count..some.end * count];
            let pool = || head::forward(&maps, affine, self.final_relu, self.head_pool, features);
            passage.watch.probe.at(HEAD_POOL).time(Pass::Rest, 0, pool);
        }
    }
}

//! Inference: a network made ready to answer, and the memory that it works in.
//!
//! Images go through in groups: a block works on as many as its maps stay in the cache for, and asks for the output of
//! the block before it group by group. So memory does not grow with the batch, early blocks with their large maps take
//! few images, and late blocks with their large weights take many. An answer does not depend on the grouping.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::{Grid, Maps};
use densenet_kernels::patch::Input;
use densenet_kernels::{Aligned, Panels, head, stem};
use rayon::prelude::*;

use super::DenseNet;
use super::ends::{classifier_panels, classify};
use super::folded::{FoldedConv, FoldedPreAct, RunningAffine};
use super::steps::{Method, Part, Step};
use crate::architecture::{Block, DenseLayer};
use crate::config::Joining;
use crate::profile::{Pass, Probe};
use crate::{Architecture, Result};

/// Elements of feature maps that a group of images may have in a block: in `f32` 8 MiB, a part of a common
/// last-level cache.
const GROUP: usize = 2 * 1024 * 1024;

/// The stem's batch-norm, ReLU and pooling, by the last of them.
const STEM_POOL: &str = "features.pool0";

/// The last batch-norm, with the ReLU and global pooling, which have no name.
const HEAD_POOL: &str = "features.norm5";

const CLASSIFIER: &str = "classifier";

/// A network ready to answer.
#[derive(Debug)]
pub(super) struct Predictor<T> {
    joining: Joining,
    in_channels: usize,
    stem: FoldedConv<T>,
    stem_end: StemEnd<T>,
    blocks: Vec<ReadyBlock<T>>,
    final_affine: RunningAffine<T>,
    final_relu: bool,
    classifier: Panels<T>,
    classifier_bias: Vec<T>,
    /// Working memory that no question is using.
    idle: Mutex<Vec<Workspace<T>>>,
}

/// What follows the stem's convolution.
#[derive(Debug)]
enum StemEnd<T> {
    Nothing,
    /// Of batch-norm and ReLU the batch-norm is folded in.
    Relu,
    /// Batch-norm, ReLU and pooling.
    Pool(RunningAffine<T>),
}

#[derive(Debug)]
struct ReadyLayer<T> {
    /// The layer's first pre-activation; the batch-norm behind it is folded in where there is a bottleneck.
    first: FoldedPreAct<T>,
    /// The 3x3 behind a bottleneck.
    second: Option<FoldedConv<T>>,
}

#[derive(Debug)]
struct ReadyBlock<T> {
    widths: Vec<usize>,
    layers: Vec<ReadyLayer<T>>,
    transition: Option<FoldedPreAct<T>>,
}

/// What one question works in; kept for the next one.
#[derive(Debug)]
struct Workspace<T> {
    /// Extents of the pictures that it is laid out for.
    extents: (usize, usize),
    /// Extents of each block's maps.
    sizes: Vec<(usize, usize)>,
    /// Each block's maps.
    buffers: Vec<Aligned<T>>,
    /// Output of a bottleneck or of the stem's convolution.
    narrow: Aligned<T>,
    pooled: Aligned<T>,
}

/// Room for the output of bottlenecks, and where the time is told to.
type Aside<'a, T> = (&'a mut Aligned<T>, Probe<'a>);

impl<T: Dispatch> ReadyLayer<T> {
    fn new(layer: &DenseLayer, height: usize, network: &DenseNet<T>) -> Self {
        match &layer.bottleneck {
            None => Self { first: FoldedPreAct::new(&layer.conv, None, height, network), second: None },
            Some(bottleneck) => Self {
                first: FoldedPreAct::new(bottleneck, Some(&layer.conv.norm), height, network),
                second: Some(FoldedConv::new(&layer.conv.conv, None, height, network)),
            },
        }
    }

    fn run(&self, maps: Maps<'_, T>, skip: Option<&[T]>, output: &mut [T], (narrow, probe): Aside<'_, T>) {
        let input = Input::PreActivation(maps, self.first.affine.affine());
        let Some(second) = &self.second else {
            return self.first.conv.run(&input, false, skip, output, probe);
        };
        let width = self.first.conv.columns();
        let narrow = narrow.at_least(width * maps.grid().pixels());
        self.first.conv.run(&input, true, None, narrow, probe);
        second.run(&Input::Raw(narrow, maps.grid(), width), false, skip, output, probe);
    }

    fn steps(&self, extents: (usize, usize)) -> impl Iterator<Item = Step> {
        let part = if self.second.is_some() { Part::Bottleneck } else { Part::Layer };
        let second = self.second.as_ref().map(|conv| conv.step(Part::Layer, extents));
        std::iter::once(self.first.conv.step(part, extents)).chain(second)
    }
}

impl<T: Dispatch> ReadyBlock<T> {
    fn new(block: &Block, height: usize, network: &DenseNet<T>) -> Self {
        Self {
            widths: block.widths().collect(),
            layers: block.layers.par_iter().map(|layer| ReadyLayer::new(layer, height, network)).collect(),
            transition: block.transition.as_ref().map(|op| FoldedPreAct::new(op, None, height, network)),
        }
    }

    /// Channels of all maps.
    fn channels(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Images that are in the block at a time.
    fn group(&self, grid: Grid) -> usize {
        (GROUP / (self.channels() * grid.height * grid.width)).clamp(1, grid.images)
    }

    /// Maps `from..=upto` of the block's buffer.
    fn maps<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining, upto: usize) -> Maps<'a, T> {
        let from = if joining == Joining::Dense { 0 } else { upto };
        let before = |i: usize| self.widths[..i].iter().sum::<usize>() * grid.pixels();
        Maps::new(&buffer[before(from)..before(upto + 1)], grid, &self.widths[from..=upto])
    }

    /// All maps that the block hands on.
    fn output<'a>(&'a self, buffer: &'a [T], grid: Grid, joining: Joining) -> Maps<'a, T> {
        self.maps(buffer, grid, joining, self.layers.len())
    }

    /// Runs all layers in a buffer whose first map is there.
    fn run(&self, buffer: &mut [T], grid: Grid, joining: Joining, (narrow, probe): Aside<'_, T>) {
        let mut made = self.widths[0] * grid.pixels();
        for (i, layer) in self.layers.iter().enumerate() {
            let (before, behind) = buffer.split_at_mut(made);
            let output = &mut behind[..self.widths[i + 1] * grid.pixels()];
            let maps = self.maps(before, grid, joining, i);
            let skip = (joining == Joining::Residual).then(|| &before[made - output.len()..]);
            layer.run(maps, skip, output, (narrow, probe));
            made += output.len();
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

impl<T: Dispatch> Workspace<T> {
    fn new() -> Self {
        Self { extents: (0, 0), sizes: vec![], buffers: vec![], narrow: Aligned::default(), pooled: Aligned::default() }
    }
}

/// Who looks at the maps after each block: the block's number, the images, their maps.
pub(super) type Visit<'a, T> = &'a mut (dyn FnMut(usize, Range<usize>, Maps<'_, T>) + Send);

/// Pictures on their way through the network.
struct Passage<'a, T> {
    predictor: &'a Predictor<T>,
    /// `(N, C, H, W)`.
    pictures: &'a [T],
    sizes: &'a [(usize, usize)],
    extents: (usize, usize),
    narrow: &'a mut Aligned<T>,
    visit: Visit<'a, T>,
    probe: Probe<'a>,
}

impl<T: Dispatch> Passage<'_, T> {
    /// Maps of `block`, in the last of `buffers`, of a group of `images`; `buffers` holds one for each block up to it.
    fn block(&mut self, block: usize, images: Range<usize>, buffers: &mut [Aligned<T>]) {
        let predictor = self.predictor;
        let ready = &predictor.blocks[block];
        let grid = self.grid(block, images.len());
        let (buffer, before) = buffers.split_last_mut().expect("one a block");
        let buffer = buffer.at_least(ready.channels() * grid.pixels());
        let (input, image) = (ready.widths[0] * grid.pixels(), ready.widths[0] * grid.height * grid.width);
        self.input(block, images.clone(), before, image, &mut buffer[..input]);
        ready.run(buffer, grid, predictor.joining, (self.narrow, self.probe));
        (self.visit)(block, images, ready.output(buffer, grid, predictor.joining));
    }

    /// The first map of `block`, `image` elements for each of `images`.
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
            return self.stem(images, output);
        };
        let ready = &predictor.blocks[before];
        let group = ready.group(self.grid(before, images.len()));
        let transition = ready.transition.as_ref().expect("all blocks but the last have one");
        for start in images.clone().step_by(group) {
            let some = start..images.end.min(start + group);
            self.block(before, some.clone(), buffers);
            let grid = self.grid(before, some.len());
            let maps = ready.output(&buffers[before][..ready.channels() * grid.pixels()], grid, predictor.joining);
            let output = &mut output[(some.start - images.start) * image..(some.end - images.start) * image];
            let input = Input::Pooled(maps, transition.affine.affine());
            transition.conv.run(&input, false, None, output, self.probe);
        }
    }

    fn stem(&mut self, images: Range<usize>, output: &mut [T]) {
        let Predictor { stem, stem_end, in_channels, .. } = self.predictor;
        let (height, width) = self.extents;
        let image = in_channels * height * width;
        let grid = Grid { images: images.len(), height, width };
        let input = Input::Pictures(&self.pictures[images.start * image..images.end * image], grid, *in_channels);
        let StemEnd::Pool(affine) = stem_end else {
            let relu = matches!(stem_end, StemEnd::Relu);
            return stem.run(&input, relu, None, output, self.probe);
        };
        let (grid, widths) = (stem.window().output(grid), [stem.columns()]);
        let raw = self.narrow.at_least(grid.pixels() * widths[0]);
        stem.run(&input, false, None, raw, self.probe);
        let maps = Maps::new(raw, grid, &widths);
        self.probe.at(STEM_POOL).time(Pass::Rest, 0, || stem::forward(&maps, affine.affine(), stem::POOL, output));
    }

    /// Extents of `images` images in `block`.
    fn grid(&self, block: usize, images: usize) -> Grid {
        let (height, width) = self.sizes[block];
        Grid { images, height, width }
    }
}

impl<T: Dispatch> Predictor<T> {
    /// Prepares `network` for pictures of about its native size; others take the same weights, perhaps less suited.
    pub fn new(network: &DenseNet<T>) -> Self {
        let DenseNet { architecture: arch, parameters, .. } = network;
        let size = arch.config.input_size;
        let heights = arch.block_sizes(size, size).expect("a network takes pictures of its own size");
        let weight = &parameters[arch.classifier_weight.clone()];
        let (stem_folds, stem_end) = match &arch.stem_norm {
            None => (None, StemEnd::Nothing),
            Some(norm) if arch.stem_pool => (None, StemEnd::Pool(RunningAffine::new(norm, network))),
            folds => (folds.as_ref(), StemEnd::Relu),
        };
        Self {
            joining: arch.config.joining,
            in_channels: arch.config.in_channels,
            stem: FoldedConv::new(&arch.stem_conv, stem_folds, heights[0].0, network),
            stem_end,
            blocks: arch
                .blocks
                .par_iter()
                .zip(heights)
                .map(|(block, (h, _))| ReadyBlock::new(block, h, network))
                .collect(),
            final_affine: RunningAffine::new(&arch.final_norm, network),
            final_relu: arch.config.final_relu,
            classifier: classifier_panels(weight, arch.config.num_classes),
            classifier_bias: parameters[arch.classifier_bias.clone()].to_vec(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// What it does to pictures of `extents`, which give the blocks' maps `sizes`.
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
        let (first, &last) = (sizes[0].into(), sizes.last().expect("a network has blocks"));
        let stem_pool = matches!(self.stem_end, StemEnd::Pool(_))
            .then(|| pool(STEM_POOL, Part::Stem, stem.out_channels, [stem::POOL.kernel; 2], first));
        let (channels, classes) = (self.classifier.depth(), self.classifier.columns());
        let head = pool(HEAD_POOL, Part::Head, channels, last.into(), [1, 1]);
        let classifier = Step {
            name: CLASSIFIER.into(),
            out_channels: classes,
            window: [1, 1],
            method: Method::Plain,
            ..head.clone()
        };
        let blocks = self.blocks.iter().zip(sizes).flat_map(|(block, &extents)| block.steps(extents));
        let stem = std::iter::once(stem).chain(stem_pool);
        stem.chain(blocks).chain([head, classifier]).collect()
    }

    /// Logits `(N, classes)` of pictures `(N, C, H, W)`, past `visit`.
    pub fn run(
        &self,
        arch: &Architecture,
        pictures: &[T],
        grid: Grid,
        (pooled, logits): (Option<&mut [T]>, &mut [T]),
        (visit, probe): (Visit<'_, T>, Probe<'_>),
    ) -> Result<()> {
        let workspace = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = workspace.unwrap_or_else(Workspace::new);
        if workspace.extents != (grid.height, grid.width) {
            workspace.sizes = arch.block_sizes(grid.height, grid.width)?;
            workspace.extents = (grid.height, grid.width);
            workspace.buffers.resize_with(self.blocks.len(), Aligned::default);
        }
        let Workspace { extents, sizes, buffers, narrow, pooled: own } = &mut workspace;
        let features = grid.images * self.final_affine.affine().scale.len();
        let pooled = pooled.unwrap_or_else(|| own.at_least(features));
        let mut passage = Passage { predictor: self, pictures, sizes, extents: *extents, narrow, visit, probe };
        self.pool(&mut passage, buffers, pooled);
        let macs = features * self.classifier.columns();
        probe.at(CLASSIFIER).time(Pass::Forward, macs as u64, || {
            classify(pooled, grid.images, &self.classifier, &self.classifier_bias, logits);
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(())
    }

    /// Pooled features `(N, channels)` of all pictures.
    fn pool(&self, passage: &mut Passage<'_, T>, buffers: &mut [Aligned<T>], pooled: &mut [T]) {
        let (last, affine) = (self.blocks.len() - 1, self.final_affine.affine());
        let (block, channels) = (&self.blocks[last], affine.scale.len());
        let images = pooled.len() / channels;
        let group = block.group(passage.grid(last, images));
        for start in (0..images).step_by(group) {
            let some = start..images.min(start + group);
            passage.block(last, some.clone(), buffers);
            let grid = passage.grid(last, some.len());
            let maps = block.output(&buffers[last][..block.channels() * grid.pixels()], grid, self.joining);
            let pooled = &mut pooled[some.start * channels..some.end * channels];
            passage.probe.at(HEAD_POOL).time(Pass::Rest, 0, || head::forward(&maps, affine, self.final_relu, pooled));
        }
    }
}

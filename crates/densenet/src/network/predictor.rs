//! Inference: a network with packed weights, and its working memory.
//!
//! Images are processed in groups: a block works on as many as its maps fit into the cache for, and takes the output of
//! the block before it group by group. So memory does not grow with the batch, early blocks with their large maps take
//! few images, and late blocks with their large weights take many. A prediction does not depend on the grouping.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use densenet_kernels::conv::MathMode;
use densenet_kernels::{Aligned, FeatureMaps, Grid, Real, head};

use super::batch::Batch;
use super::body::Body;
use super::classifier::Classifier;
use super::float_body::FloatBody;
use super::shape::head_pool;
use super::steps::{Part, Step};
use super::weights::{RunningAffine, Weights};
use crate::profile::{Pass, Probe};
use crate::{Architecture, Result};

/// Bytes of feature maps that a group of images may have in a block: a part of a typical last-level cache.
const GROUP: usize = 8 * 1024 * 1024;

/// Name of the last batch-norm, also used for the ReLU and global pooling, which have no names.
const HEAD_POOL: &str = "features.norm5";

/// Destination of predictions.
pub(super) struct Outputs<'a, T> {
    /// `(N, features)`: the input of the classifier.
    pub features: Option<&'a mut [T]>,
    /// `(N, classes)`.
    pub logits: Option<&'a mut [T]>,
}

/// Called with the maps after each block: the block's number, the images and their maps.
type WatchMaps<'a, T> = &'a mut (dyn FnMut(usize, Range<usize>, FeatureMaps<'_, T>) + Send);

/// Observers of a prediction.
#[derive(Default)]
pub(super) struct Watch<'a, T> {
    pub maps: Option<WatchMaps<'a, T>>,
    pub probe: Probe<'a>,
}

/// A network packed for inference, in whatever arithmetic stem and blocks use.
pub(super) trait Inference<T: Real>: Debug + Send + Sync {
    /// Predicts a batch.
    ///
    /// # Errors
    /// A picture size that the network cannot take.
    fn run(&self, arch: &Architecture, batch: Batch<'_, T>, outputs: Outputs<'_, T>, watch: Watch<'_, T>)
    -> Result<()>;

    /// The operations of inference for pictures with `extents`, where the blocks' maps have `sizes`.
    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step>;

    /// Repacks the classifier after its parameters have changed.
    fn pack_classifier(&mut self, weights: &Weights<T>);
}

/// A network whose weights are packed for inference.
#[derive(Debug)]
pub(super) struct Predictor<T: Real, B: Body<T>> {
    pub body: B,
    pub final_affine: RunningAffine<T>,
    pub final_relu: bool,
    pub head_pool: head::Pool,
    num_features: usize,
    classifier: Classifier<T>,
    /// Working memory that no prediction is using.
    idle: Mutex<Vec<Workspace<T, B::Element>>>,
}

/// The working memory of one prediction; kept for the next one.
#[derive(Debug, Default)]
struct Workspace<T, E> {
    /// Extents of the pictures that it is laid out for, if any.
    extents: Option<(usize, usize)>,
    /// Extents of each block's maps.
    sizes: Vec<(usize, usize)>,
    /// Each block's maps.
    buffers: Vec<Aligned<E>>,
    /// Output of a bottleneck.
    intermediate: Aligned<E>,
    /// Output of the stem's convolution.
    raw: Aligned<E>,
    /// The maps that leave the blocks, if their elements are not `T`.
    numbers: Aligned<T>,
    features: Aligned<T>,
    /// Output of each linear layer except the last.
    hidden: Vec<Aligned<T>>,
}

/// A batch of pictures on its way through the network.
struct Passage<'a, 'b, T: Real, B: Body<T>> {
    predictor: &'a Predictor<T, B>,
    batch: Batch<'a, T>,
    sizes: &'a [(usize, usize)],
    intermediate: &'a mut Aligned<B::Element>,
    raw: &'a mut Aligned<B::Element>,
    numbers: &'a mut Aligned<T>,
    watch: &'a mut Watch<'b, T>,
}

impl<T: Real, B: Body<T>> Passage<'_, '_, T, B> {
    /// Computes the maps of `block` for a group of `images` in the last of `buffers`, which holds one for each block up
    /// to it.
    fn block(&mut self, block: usize, images: Range<usize>, buffers: &mut [Aligned<B::Element>]) {
        let body = &self.predictor.body;
        let grid = self.grid(block, images.len());
        let (buffer, before) = buffers.split_last_mut().expect("one a block");
        let buffer = buffer.at_least(body.channels(block) * grid.pixels());
        let image = body.map_channels(block)[0] * grid.height * grid.width;
        self.input(block, images.clone(), before, image, &mut buffer[..image * images.len()]);
        body.block(block, buffer, grid, self.intermediate, self.watch.probe);
        if let Some(watch) = &mut self.watch.maps {
            watch(block, images, body.maps(block, buffer, grid, self.numbers));
        }
    }

    /// Computes the first map of `block`, `image` elements for each of `images`.
    fn input(
        &mut self,
        block: usize,
        images: Range<usize>,
        buffers: &mut [Aligned<B::Element>],
        image: usize,
        output: &mut [B::Element],
    ) {
        let body = &self.predictor.body;
        let Some(before) = block.checked_sub(1) else {
            return body.stem(self.batch.images(images), self.raw, output, self.watch.probe);
        };
        let group = self.group(before, images.len());
        for start in images.clone().step_by(group) {
            let some = start..images.end.min(start + group);
            self.block(before, some.clone(), buffers);
            let grid = self.grid(before, some.len());
            let maps = &buffers[before][..body.channels(before) * grid.pixels()];
            let output = &mut output[(some.start - images.start) * image..(some.end - images.start) * image];
            body.transition(before, maps, grid, output, self.watch.probe);
        }
    }

    /// Extents of the maps of `images` images in `block`.
    fn grid(&self, block: usize, images: usize) -> Grid {
        let (height, width) = self.sizes[block];
        Grid { images, height, width }
    }

    /// How many of `images` images `block` works on at a time.
    fn group(&self, block: usize, images: usize) -> usize {
        let image = self.predictor.body.channels(block) * self.grid(block, 1).pixels() * size_of::<B::Element>();
        (GROUP / image).clamp(1, images)
    }
}

impl<T: Real> Predictor<T, FloatBody<T>> {
    /// Packs the weights of a network for pictures of about its native size; other sizes use the same packing, which
    /// may suit them less.
    pub fn of_floats(weights: &Weights<T>, mode: MathMode) -> Self {
        Self::new(weights, |arch, heights| FloatBody::new(arch, heights, weights, mode))
    }
}

impl<T: Real, B: Body<T>> Predictor<T, B> {
    /// Packs head and classifier of a network, and stem and blocks using `body`, given the usual sizes of their maps.
    pub fn new(weights: &Weights<T>, body: impl FnOnce(&Architecture, &[(usize, usize)]) -> B) -> Self {
        let arch = &weights.architecture;
        let size = arch.config.input_size;
        let sizes = arch.block_sizes(size, size).expect("a network takes pictures of its own size");
        Self {
            body: body(arch, &sizes),
            final_affine: weights.affine(&arch.final_norm),
            final_relu: arch.config.final_relu,
            head_pool: head_pool(arch.config.head_pool),
            num_features: arch.num_features,
            classifier: Classifier::new(weights),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Computes the `features` `(N, C)` of all pictures.
    fn pool(&self, passage: &mut Passage<'_, '_, T, B>, buffers: &mut [Aligned<B::Element>], features: &mut [T]) {
        let (last, count) = (buffers.len() - 1, self.num_features);
        let affine = self.final_affine.affine();
        let images = features.len() / count;
        let group = passage.group(last, images);
        for start in (0..images).step_by(group) {
            let some = start..images.min(start + group);
            passage.block(last, some.clone(), buffers);
            let grid = passage.grid(last, some.len());
            let buffer = &buffers[last][..self.body.channels(last) * grid.pixels()];
            let maps = self.body.maps(last, buffer, grid, passage.numbers);
            let features = &mut features[some.start * count..some.end * count];
            let pool = || head::forward(&maps, affine, self.final_relu, self.head_pool, features);
            passage.watch.probe.at(HEAD_POOL).time(Pass::Rest, 0, pool);
        }
    }
}

impl<T: Real, B: Body<T>> Inference<T> for Predictor<T, B> {
    fn run(
        &self,
        arch: &Architecture,
        batch: Batch<'_, T>,
        outputs: Outputs<'_, T>,
        mut watch: Watch<'_, T>,
    ) -> Result<()> {
        let workspace = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = workspace.unwrap_or_default();
        let extents = (batch.grid.height, batch.grid.width);
        if workspace.extents != Some(extents) {
            workspace.sizes = arch.block_sizes(extents.0, extents.1)?;
            workspace.extents = Some(extents);
            workspace.buffers.resize_with(workspace.sizes.len(), Aligned::default);
        }
        let Workspace { sizes, buffers, intermediate, raw, numbers, features: own, hidden, .. } = &mut workspace;
        let images = batch.grid.images;
        let Outputs { features, logits } = outputs;
        let features = features.unwrap_or_else(|| own.at_least(images * self.num_features));
        let probe = watch.probe;
        let watch = &mut watch;
        self.pool(&mut Passage { predictor: self, batch, sizes, intermediate, raw, numbers, watch }, buffers, features);
        if let Some(logits) = logits {
            self.classifier.run(images, features, hidden, logits, probe);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(())
    }

    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step> {
        let last = (*sizes.last().expect("a network has blocks")).into();
        let (window, output) = match self.head_pool {
            head::Pool::Average | head::Pool::Max => (last, [1, 1]),
            head::Pool::Flatten => ([1, 1], last),
        };
        let head = Step::pooling(HEAD_POOL, Part::Head, self.final_affine.scale.len(), window, output);
        self.body.steps(extents, sizes).into_iter().chain([head]).chain(self.classifier.steps()).collect()
    }

    fn pack_classifier(&mut self, weights: &Weights<T>) {
        self.classifier = Classifier::new(weights);
    }
}

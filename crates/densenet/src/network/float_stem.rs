//! The stem in floating-point inference.

use densenet_kernels::conv::MathMode;
use densenet_kernels::{Aligned, FeatureMaps, Input, Real, stem};

use super::batch::Batch;
use super::folded::FoldedConv;
use super::shape::stem_pool;
use super::steps::{Part, Step};
use super::weights::{RunningAffine, Weights};
use crate::profile::{Pass, Probe};

/// Name for the stem's batch-norm, ReLU and pooling: that of the last of them.
pub(super) const STEM_POOL: &str = "features.pool0";

/// The stem, packed.
#[derive(Debug)]
pub(super) struct FloatStem<T: Real> {
    conv: FoldedConv<T>,
    end: StemEnd<T>,
}

/// The operation after the stem's convolution.
#[derive(Debug)]
enum StemEnd<T> {
    Nothing,
    /// A ReLU; the batch-norm is folded in.
    Relu,
    /// Batch-norm, ReLU and pooling.
    Pool(RunningAffine<T>, stem::Pool),
}

impl<T: Real> FloatStem<T> {
    /// Packs the stem of a network, whose first map is usually `height` pixels high.
    pub fn new(height: usize, weights: &Weights<T>) -> Self {
        let arch = &weights.architecture;
        let (norm, end) = match (&arch.stem_norm, arch.stem_pool) {
            (None, _) => (None, StemEnd::Nothing),
            (Some(norm), Some(pool)) => (None, StemEnd::Pool(weights.affine(norm), stem_pool(pool))),
            (folded, None) => (folded.as_ref(), StemEnd::Relu),
        };
        Self { conv: FoldedConv::new(&arch.stem_conv, norm, height, weights, MathMode::Strict), end }
    }

    /// Computes the stem's output for pictures; if it pools, `raw` receives the output of its convolution.
    pub fn run(&self, batch: Batch<'_, T>, raw: &mut Aligned<T>, output: &mut [T], probe: Probe<'_>) {
        let Self { conv, end } = self;
        let shape = conv.shape();
        let input = Input::Pictures { data: batch.pictures, grid: batch.grid, channels: shape.in_channels };
        let StemEnd::Pool(affine, pool) = end else {
            let relu = matches!(end, StemEnd::Relu);
            return conv.run(&input, relu, None, output, probe);
        };
        let (grid, map_channels) = (shape.window.output(batch.grid), [shape.out_channels]);
        let raw = raw.at_least(grid.pixels() * map_channels[0]);
        conv.run(&input, false, None, raw, probe);
        let maps = FeatureMaps::new(raw, grid, &map_channels);
        probe.at(STEM_POOL).time(Pass::Rest, 0, || stem::forward(&maps, affine.affine(), *pool, output));
    }

    /// Its operations on pictures with these `extents`, which give a map with the extents `first`.
    pub fn steps(&self, extents: (usize, usize), first: (usize, usize)) -> impl Iterator<Item = Step> {
        let pool = match self.end {
            StemEnd::Pool(_, by) => {
                let (channels, kernel) = (self.conv.shape().out_channels, by.window().kernel);
                Some(Step::pooling(STEM_POOL, Part::Stem, channels, [kernel; 2], first.into()))
            }
            StemEnd::Nothing | StemEnd::Relu => None,
        };
        std::iter::once(self.conv.step(Part::Stem, extents)).chain(pool)
    }
}

//! What inference needs of stem and blocks, whatever their maps are made of.

use std::fmt::Debug;

use bytemuck::Zeroable;
use densenet_kernels::{Aligned, FeatureMaps, Grid, Real};

use super::batch::Batch;
use super::steps::Step;
use crate::profile::Probe;

/// Stem, blocks and transitions of a network, packed. Pictures are of `T`, and head and classifier compute with it.
pub(super) trait Body<T: Real>: Debug + Send + Sync {
    /// An element of the blocks' maps.
    type Element: Zeroable + Copy + Default + Debug + Send;

    /// Channels of each map of `block`, its input first.
    fn map_channels(&self, block: usize) -> &[usize];

    /// Makes the first block's first map of pictures; where the stem pools, `raw` gets what its convolution makes.
    fn stem(
        &self,
        batch: Batch<'_, T>,
        raw: &mut Aligned<Self::Element>,
        output: &mut [Self::Element],
        probe: Probe<'_>,
    );

    /// Makes all maps of `block` but the first, which `buffer` begins with.
    fn block(
        &self,
        block: usize,
        buffer: &mut [Self::Element],
        grid: Grid,
        intermediate: &mut Aligned<Self::Element>,
        probe: Probe<'_>,
    );

    /// Makes the first map of the block after `block`, whose maps are `buffer`.
    fn transition(
        &self,
        block: usize,
        buffer: &[Self::Element],
        grid: Grid,
        output: &mut [Self::Element],
        probe: Probe<'_>,
    );

    /// The maps that `block` hands on, by way of `numbers` where elements are no `T`.
    fn maps<'a>(
        &'a self,
        block: usize,
        buffer: &'a [Self::Element],
        grid: Grid,
        numbers: &'a mut Aligned<T>,
    ) -> FeatureMaps<'a, T>;

    /// The operations on pictures of those `extents` and maps of those `sizes`, one for each block.
    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step>;

    /// Channels of all maps of `block`.
    fn channels(&self, block: usize) -> usize {
        self.map_channels(block).iter().sum()
    }
}

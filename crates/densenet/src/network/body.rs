//! What inference needs from stem and blocks, whatever the element type of their maps.

use std::fmt::Debug;

use bytemuck::Zeroable;
use densenet_kernels::{Aligned, FeatureMaps, Grid, Real};

use super::batch::Batch;
use super::steps::Step;
use crate::profile::Probe;

/// The packed stem, blocks and transitions of a network. Pictures have elements `T`; head and classifier compute with
/// it.
pub(super) trait Body<T: Real>: Debug + Send + Sync {
    /// An element of the blocks' maps.
    type Element: Zeroable + Copy + Default + Debug + Send;

    /// Channels of each map of `block`, its input first.
    fn map_channels(&self, block: usize) -> &[usize];

    /// Computes the first block's first map from pictures; if the stem pools, `raw` receives the output of its
    /// convolution.
    fn stem(
        &self,
        batch: Batch<'_, T>,
        raw: &mut Aligned<Self::Element>,
        output: &mut [Self::Element],
        probe: Probe<'_>,
    );

    /// Computes all maps of `block` except the first, with which `buffer` begins.
    fn block(
        &self,
        block: usize,
        buffer: &mut [Self::Element],
        grid: Grid,
        intermediate: &mut Aligned<Self::Element>,
        probe: Probe<'_>,
    );

    /// Computes the first map of the block after `block`, whose maps are in `buffer`.
    fn transition(
        &self,
        block: usize,
        buffer: &[Self::Element],
        grid: Grid,
        output: &mut [Self::Element],
        probe: Probe<'_>,
    );

    /// The maps that `block` passes on, converted in `numbers` if elements are not `T`.
    fn maps<'a>(
        &'a self,
        block: usize,
        buffer: &'a [Self::Element],
        grid: Grid,
        numbers: &'a mut Aligned<T>,
    ) -> FeatureMaps<'a, T>;

    /// The operations for pictures with these `extents` and maps with these `sizes`, one for each block.
    fn steps(&self, extents: (usize, usize), sizes: &[(usize, usize)]) -> Vec<Step>;

    /// Channels of all maps of `block`.
    fn channels(&self, block: usize) -> usize {
        self.map_channels(block).iter().sum()
    }
}

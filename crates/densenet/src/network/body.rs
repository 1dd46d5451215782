//! What inference needs of the blocks between stem and head, whatever their maps are made of.

use std::fmt::Debug;

use bytemuck::Zeroable;
use densenet_kernels::{Aligned, FeatureMaps, Grid, Real};

use super::steps::Step;
use crate::profile::Probe;

/// All blocks and transitions of a network, packed. Stem, head and classifier compute with `T`.
pub(super) trait Body<T: Real>: Debug + Send + Sync {
    /// An element of the blocks' maps.
    type Element: Zeroable + Copy + Default + Debug + Send;

    /// Channels of each map of `block`, its input first.
    fn map_channels(&self, block: usize) -> &[usize];

    /// Takes what `make` writes, the stem's output, as the first block's first map `output`, by way of `numbers` where
    /// elements are no `T`.
    fn take(&self, output: &mut [Self::Element], numbers: &mut Aligned<T>, make: impl FnOnce(&mut [T]));

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

    /// The operations on maps of those `sizes`, one for each block.
    fn steps(&self, sizes: &[(usize, usize)]) -> Vec<Step>;

    /// Channels of all maps of `block`.
    fn channels(&self, block: usize) -> usize {
        self.map_channels(block).iter().sum()
    }
}

//! The window of a convolution or a pooling.

use std::ops::Range;

use super::Grid;

/// Kernel extent, stride and zero padding, the same along both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Input pixels between neighbouring output pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

impl Window {
    /// A 1x1 convolution.
    pub const POINT: Self = Self { kernel: 1, stride: 1, padding: 0 };

    /// Extents of the output for input of `grid`.
    pub fn output(self, grid: Grid) -> Grid {
        let extent = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        Grid { height: extent(grid.height), width: extent(grid.width), ..grid }
    }

    /// Input rows or columns, out of `extent`, in the window of output row or column `output`.
    pub(crate) fn inputs(self, output: usize, extent: usize) -> Range<usize> {
        let start = output * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(extent)
    }

    /// Input rows or columns that `outputs` neighbouring output rows or columns read.
    pub(crate) fn reach(self, outputs: usize) -> usize {
        (outputs - 1) * self.stride + self.kernel
    }
}

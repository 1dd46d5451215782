//! The pooling between a pre-activation and its convolution.

use super::Grid;

/// How a pre-activation is pooled before the convolution. In DenseNets only 1x1 convolutions read pooled maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Not at all: a dense layer.
    None,
    /// 2x2 average pooling with stride 2. Followed by a 1x1 convolution, this is a transition at a quarter of the cost:
    /// averaging and a linear map over channels commute.
    Average2x2,
}

impl Pooling {
    /// Extents after the pooling.
    pub fn output(self, grid: Grid) -> Grid {
        match self {
            Self::None => grid,
            Self::Average2x2 => grid.halved(),
        }
    }

    /// Number of pixels that are combined into one.
    pub(crate) fn pixels(self) -> usize {
        match self {
            Self::None => 1,
            Self::Average2x2 => 4,
        }
    }
}

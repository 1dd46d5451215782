//! The pooling between a pre-activation and its convolution.

use super::Grid;

/// What happens to a pre-activation before it is convolved. Only 1x1 convolutions of DenseNets read what is pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Nothing: a dense layer.
    None,
    /// 2x2 average pooling of stride 2. A 1x1 convolution of it is a transition at a quarter of the cost: averaging and a
    /// linear map over channels commute.
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

    /// Pixels that become one.
    pub(crate) fn pixels(self) -> usize {
        match self {
            Self::None => 1,
            Self::Average2x2 => 4,
        }
    }
}

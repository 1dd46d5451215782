//! 3x3 convolution by Winograd's minimal filtering (Lavin and Gray, CVPR 2016, arXiv 1509.09308): a quarter or four
//! ninths of the multiplications of the plain sum.
//!
//! A band's input is cut into overlapping tiles, each tile transformed; at each of a tile's points, the tiles' channels
//! are multiplied by that point's weights, which is a product of matrices; the products are transformed back.

pub(crate) mod data_gradient;
pub(crate) mod filters;
pub(crate) mod forward;
mod tiles;
mod transform;
pub(crate) mod weight_gradient;

pub use data_gradient::data_gradient;
pub use filters::Filters;
pub use forward::{forward, forward_with_moments};
pub use weight_gradient::weight_gradient;

use std::marker::PhantomData;

use transform::{Four, Transform, Two};

use crate::isa::{Dispatch, Operation, Simd};
use crate::patch::Window;

/// What it computes: 3x3, stride 1, the output as large as the input.
pub const WINDOW: Window = Window { kernel: 3, stride: 1, padding: 1 };

/// Outputs of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 2x2: four ninths of the multiplications; no less exact than the plain sum.
    Two,
    /// 4x4: a quarter of the multiplications, of 2.3 times larger weights; its rounding errors are twice as large.
    Four,
}

/// Something to be run for one size of tile on one instruction set; see [`Operation`].
trait TileOperation<T> {
    /// Runs it.
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S);
}

impl Tile {
    /// Outputs along one axis.
    fn outputs(self) -> usize {
        match self {
            Self::Two => Two::OUTPUTS,
            Self::Four => Four::OUTPUTS,
        }
    }

    /// Runs `operation` for this size on the instruction set in use.
    fn dispatch<T: Dispatch>(self, operation: impl TileOperation<T>) {
        struct Of<O, A>(O, PhantomData<A>);
        impl<T: Dispatch, O: TileOperation<T>, A: Transform> Operation<T> for Of<O, A> {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd<T = T>>(self, simd: S) {
                self.0.run::<S, A>(simd);
            }
        }
        match self {
            Self::Two => T::dispatch(Of(operation, PhantomData::<Two>)),
            Self::Four => T::dispatch(Of(operation, PhantomData::<Four>)),
        }
    }
}

//! The two tile sizes.

use std::marker::PhantomData;

use super::transform::{Four, Transform, Two};
use crate::shapes::Window;
use crate::simd::{Dispatch, Operation, Simd};

/// The convolution that Winograd's tiles compute: 3x3, stride 1, the output as large as the input.
pub const WINDOW: Window = Window { kernel: 3, stride: 1, padding: 1 };

/// Outputs of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileSize {
    /// 2x2: four ninths of the multiplications; as exact as the direct sum.
    Two,
    /// 4x4: a quarter of the multiplications, with 2.3 times larger weights; its rounding errors are twice as large.
    Four,
}

/// Something to be run for one tile size on one instruction set; see [`Operation`].
pub(super) trait TileOperation<T> {
    /// Runs it.
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S);
}

impl TileSize {
    /// Outputs along one axis.
    pub(super) fn outputs(self) -> usize {
        match self {
            Self::Two => Two::OUTPUTS,
            Self::Four => Four::OUTPUTS,
        }
    }

    /// Runs `operation` for this size on the instruction set in use.
    pub(super) fn dispatch<T: Dispatch>(self, operation: impl TileOperation<T>) {
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

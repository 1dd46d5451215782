//! 3x3 convolution by Winograd's minimal filtering (Lavin and Gray, CVPR 2016, arXiv 1509.09308): a quarter or four
//! ninths of the multiplications of the plain sum.
//!
//! A band's input is cut into overlapping tiles, each tile transformed; at each of a tile's points, the tiles' channels
//! are multiplied by that point's weights, which is a product of matrices; the products are transformed back.

mod data_gradient;
mod forward;
mod tiles;
mod transform;
mod weight_gradient;

pub use data_gradient::data_gradient;
pub use forward::{forward, forward_with_moments};
pub use weight_gradient::weight_gradient;

use std::marker::PhantomData;

use transform::{Four, Transform, Two};

use crate::isa::{Dispatch, Operation, Simd};
use crate::panels::Panels;
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

/// The transformed weights of a 3x3 convolution.
#[derive(Clone, Debug)]
pub struct Filters<T> {
    tile: Tile,
    channels: usize,
    /// Rows are points, and channels within a point.
    panels: Panels<T>,
}

impl<T: Dispatch> Filters<T> {
    /// Transforms weights `[out][in][3][3]`.
    pub fn new(tile: Tile, weight: &[T], out: usize, channels: usize) -> Self {
        assert_eq!(weight.len(), out * channels * 9, "weights [{out}, {channels}, 3, 3]");
        let panels = match tile {
            Tile::Two => Self::at_points::<Two>(weight, out, channels),
            Tile::Four => Self::at_points::<Four>(weight, out, channels),
        };
        Self { tile, channels, panels }
    }

    /// Transforms weights `[out][in][3][3]`, turned by half a circle and reading output channels, for [`data_gradient`].
    pub fn turned(tile: Tile, weight: &[T], out: usize, channels: usize) -> Self {
        assert_eq!(weight.len(), out * channels * 9, "weights [{out}, {channels}, 3, 3]");
        let mut turned = Vec::with_capacity(weight.len());
        for channel in 0..channels {
            for filters in weight.chunks_exact(channels * 9) {
                turned.extend(filters[9 * channel..][..9].iter().rev());
            }
        }
        Self::new(tile, &turned, channels, out)
    }

    fn at_points<A: Transform>(weight: &[T], out: usize, channels: usize) -> Panels<T> {
        let points = A::INPUTS * A::INPUTS;
        let mut at = vec![T::zero(); weight.len() / 9 * points];
        for (filter, at) in weight.chunks_exact(9).zip(at.chunks_exact_mut(points)) {
            let rows = [0, 3, 6].map(|r| A::filter([filter[r].f64(), filter[r + 1].f64(), filter[r + 2].f64()]));
            for j in 0..A::INPUTS {
                let column = A::filter(rows.map(|row| row[j]));
                (0..A::INPUTS).for_each(|i| at[i * A::INPUTS + j] = T::of(column[i]));
            }
        }
        Panels::new(points * channels, out, |k, j| at[(j * channels + k % channels) * points + k / channels])
    }

    /// Output channels.
    pub fn columns(&self) -> usize {
        self.panels.columns()
    }

    /// Input channels.
    pub fn channels(&self) -> usize {
        self.channels
    }
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

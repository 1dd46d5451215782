//! The weights of a convolution at the points.

use super::transform::{MOST_INPUTS, Transform};
use super::{Tile, TileOperation};
use crate::compiled::compiled;
use crate::isa::{Dispatch, MOST_LANES, Simd};
use crate::panels::{Panel, Panels};

/// The weights of a 3x3 convolution at the points of tiles.
#[derive(Debug)]
pub struct Filters<T> {
    tile: Tile,
    channels: usize,
    /// Rows are points, and channels within a point.
    panels: Panels<T>,
}

impl<T: Dispatch> Filters<T> {
    /// Those of weights `[out][in][3][3]`, for [`super::forward`].
    pub fn new(tile: Tile, weight: &[T], out: usize, channels: usize) -> Self {
        assert_eq!(weight.len(), out * channels * 9, "weights [{out}, {channels}, 3, 3]");
        Self::of(tile, (channels, out), Weights { weight, row: 1, column: channels, turned: false })
    }

    /// Those of the same weights, turned by half a circle and reading output channels, for [`super::data_gradient`].
    pub fn turned(tile: Tile, weight: &[T], out: usize, channels: usize) -> Self {
        assert_eq!(weight.len(), out * channels * 9, "weights [{out}, {channels}, 3, 3]");
        Self::of(tile, (out, channels), Weights { weight, row: channels, column: 1, turned: true })
    }

    fn of(tile: Tile, (channels, columns): (usize, usize), weights: Weights<'_, T>) -> Self {
        Self { tile, channels, panels: at_points(tile, (channels, columns), weights) }
    }

    /// Tiles at whose points they are.
    pub fn tile(&self) -> Tile {
        self.tile
    }

    /// The matrix whose rows are points, and channels within a point.
    pub(super) fn panels(&self) -> &Panels<T> {
        &self.panels
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

/// Filters, nine weights each: that of row `k` and column `j` is number `k * row + j * column`.
#[derive(Clone, Copy)]
pub struct Weights<'a, T> {
    weight: &'a [T],
    row: usize,
    column: usize,
    turned: bool,
}

compiled! {
    /// `weights` of so many channels and columns at the points of a tile.
    fn at_points<T>(tile: Tile, shape: (usize, usize), weights: Weights<'_, T>) -> Panels<T> {
        let (channels, columns) = shape;
        let points = (tile.outputs() + 2) * (tile.outputs() + 2);
        Panels::filled(points * channels, columns, |panel, part| {
            tile.dispatch(AtPoints { weights, channels, panel, part });
        })
    }
}

/// A panel of filters, `[point][channel][width]`.
struct AtPoints<'a, T> {
    weights: Weights<'a, T>,
    channels: usize,
    panel: Panel,
    part: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for AtPoints<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { weights, channels, panel, part } = self;
        let zero = simd.splat(T::zero());
        for channel in 0..channels {
            for start in (0..panel.columns).step_by(S::LANES) {
                let lanes = S::LANES.min(panel.columns - start);
                let filters = load_filters(simd, &weights, channel, panel.first + start, lanes);
                // Along y, then along x.
                let mut rows = [[zero; 3]; MOST_INPUTS];
                for x in 0..3 {
                    let column = A::filter(simd, [filters[x], filters[3 + x], filters[6 + x]]);
                    for (row, &value) in rows[..A::INPUTS].iter_mut().zip(&column) {
                        row[x] = value;
                    }
                }
                for (i, &row) in rows[..A::INPUTS].iter().enumerate() {
                    for (j, &value) in A::filter(simd, row)[..A::INPUTS].iter().enumerate() {
                        let place = ((i * A::INPUTS + j) * channels + channel) * panel.width + start;
                        simd.store(value, &mut part[place..][..S::LANES]);
                    }
                }
            }
        }
    }
}

/// The nine weights of `lanes` filters of row `row`, from column `column` on, a vector each.
#[inline(always)]
fn load_filters<S: Simd>(simd: S, weights: &Weights<'_, S::T>, row: usize, column: usize, lanes: usize) -> [S::V; 9] {
    let mut taps = [S::T::default(); 9 * MOST_LANES];
    for lane in 0..lanes {
        let filter = &weights.weight[9 * (row * weights.row + (column + lane) * weights.column)..][..9];
        for (tap, &weight) in filter.iter().enumerate() {
            let tap = if weights.turned { 8 - tap } else { tap };
            taps[tap * S::LANES + lane] = weight;
        }
    }
    let mut vectors = [simd.splat(S::T::default()); 9];
    for (tap, vector) in vectors.iter_mut().enumerate() {
        *vector = simd.load(&taps[tap * S::LANES..][..S::LANES]);
    }
    vectors
}

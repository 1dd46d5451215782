//! The weights of a convolution at the points.

use super::tile_size::{TileOperation, TileSize};
use super::transform::{MAX_INPUTS, Transform};
use crate::gemm::{PackedWeights, Panel};
use crate::instantiate::instantiate;
use crate::scalar::{Precision, Scalar};
use crate::simd::{Dispatch, MAX_LANES, Simd};

/// The weights of a 3x3 convolution at the points of tiles.
#[derive(Debug)]
pub struct Filters<T: Precision> {
    tile: TileSize,
    in_channels: usize,
    /// K is points, and input channels within a point.
    packed: PackedWeights<T>,
}

impl<T: Instance<T> + Scalar> Filters<T> {
    /// Transforms weights `[out][in][3][3]` for [`super::forward`].
    pub fn new(tile: TileSize, weight: &[T], out: usize, input: usize) -> Self {
        assert_eq!(weight.len(), out * input * 9, "weights [{out}, {input}, 3, 3]");
        let packed = at_points(tile, input, out, Weights { weight, row: 1, column: input, rotated: false });
        Self { tile, in_channels: input, packed }
    }

    /// Transforms the same weights, rotated by half a turn and reading output channels, for [`super::backward_data`].
    pub fn rotated(tile: TileSize, weight: &[T], out: usize, input: usize) -> Self {
        assert_eq!(weight.len(), out * input * 9, "weights [{out}, {input}, 3, 3]");
        let packed = at_points(tile, out, input, Weights { weight, row: input, column: 1, rotated: true });
        Self { tile, in_channels: out, packed }
    }
}

impl<T: Precision> Filters<T> {
    /// The tile size at whose points the weights are.
    pub fn tile(&self) -> TileSize {
        self.tile
    }

    /// The matrix of points and input channels by output channels.
    pub(super) fn packed(&self) -> &PackedWeights<T> {
        &self.packed
    }

    /// Output channels.
    pub fn out_channels(&self) -> usize {
        self.packed.n()
    }

    /// Input channels.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }
}

/// Filters, nine weights each: the filter of row `k` and column `j` is number `k * row + j * column`.
#[derive(Clone, Copy)]
pub struct Weights<'a, T> {
    weight: &'a [T],
    row: usize,
    column: usize,
    rotated: bool,
}

instantiate! {
    /// `weights` with `k` input and `n` output channels at the points of a tile.
    fn at_points<T>(tile: TileSize, k: usize, n: usize, weights: Weights<'_, T>) -> PackedWeights<T> {
        let points = (tile.outputs() + 2) * (tile.outputs() + 2);
        PackedWeights::filled(points * k, n, T::lanes(), |panel, part| {
            tile.dispatch(AtPoints { weights, channels: k, panel, part });
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
            for start in (0..panel.n).step_by(S::LANES) {
                let lanes = S::LANES.min(panel.n - start);
                let filters = load_filters(simd, &weights, channel, panel.first + start, lanes);
                // Along y, then along x.
                let mut rows = [[zero; 3]; MAX_INPUTS];
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
    let mut transposed = [S::T::default(); 9 * MAX_LANES];
    for lane in 0..lanes {
        let filter = &weights.weight[9 * (row * weights.row + (column + lane) * weights.column)..][..9];
        for (place, &weight) in filter.iter().enumerate() {
            let place = if weights.rotated { 8 - place } else { place };
            transposed[place * S::LANES + lane] = weight;
        }
    }
    let mut vectors = [simd.splat(S::T::default()); 9];
    for (place, vector) in vectors.iter_mut().enumerate() {
        *vector = simd.load(&transposed[place * S::LANES..][..S::LANES]);
    }
    vectors
}

//! The inverse transform: from the products at the points of tiles to pixels.

use std::ops::Range;

use super::points::Points;
use super::tiling::Tiling;
use super::transform::{MAX_INPUTS, MAX_OUTPUTS, Transform};
use crate::epilogue::Epilogue;
use crate::simd::strided::{self, MatrixMut};
use crate::simd::{Dispatch, Simd};

/// Outputs of one tile for one vector of channels, `[row][column]`.
type Outputs<S> = [[<S as Simd>::V; MAX_OUTPUTS]; MAX_OUTPUTS];

/// Transforms the products of `rows` of tiles, counted over all images, to pixels, one row of `pixels` each; bias and
/// ReLU are those of the epilogue's `channels`.
#[inline(always)]
pub(super) fn inverse_transform<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    tiling: &Tiling,
    rows: Range<usize>,
    products: Points<'_, S::T>,
    epilogue: &Epilogue<'_, S::T>,
    channels: Range<usize>,
    mut pixels: MatrixMut<'_, S::T>,
) {
    let width = tiling.grid.width;
    for (i, row) in rows.enumerate() {
        let height = A::OUTPUTS.min(tiling.grid.height - tiling.place(row).1);
        let (mut here, next) = pixels.split_rows(height * width);
        pixels = next;
        for tile in 0..tiling.across() {
            let x = tile * A::OUTPUTS;
            let products = Points { data: &products.data[(i * tiling.across() + tile) * products.tile..], ..products };
            let (_, to) = here.reborrow().split_rows(x);
            let pixels = TilePixels { to, width, rows: height, columns: A::OUTPUTS.min(width - x) };
            inverse_tile::<S, A>(simd, products, epilogue, channels.clone(), pixels);
        }
    }
}

/// The destination of a tile's outputs.
struct TilePixels<'a, T> {
    /// The pixels, from the tile's first one on.
    to: MatrixMut<'a, T>,
    /// Pixels from one row to the next.
    width: usize,
    /// Rows of the tile that are inside the image.
    rows: usize,
    /// Columns of the tile that are inside the image.
    columns: usize,
}

/// Transforms the products of one tile.
#[inline(always)]
fn inverse_tile<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    products: Points<'_, S::T>,
    epilogue: &Epilogue<'_, S::T>,
    channels: Range<usize>,
    mut pixels: TilePixels<'_, S::T>,
) {
    for start in (0..channels.len()).step_by(S::LANES) {
        let lanes = start..(start + S::LANES).min(channels.len());
        let mut outputs = outputs_of::<S, A>(simd, Points { data: &products.data[start..], ..products });
        let epilogue = epilogue.lanes(simd, channels.start + lanes.start..channels.start + lanes.end);
        epilogue.apply(simd, outputs.as_flattened_mut());
        pixels.store::<S, A>(simd, &outputs, lanes);
    }
}

/// The outputs of one tile for one vector of channels.
#[inline(always)]
fn outputs_of<S: Simd, A: Transform>(simd: S, products: Points<'_, S::T>) -> Outputs<S> {
    let zero = simd.splat(S::T::default());
    let mut rows = [[zero; MAX_OUTPUTS]; MAX_INPUTS];
    for (i, row) in rows[..A::INPUTS].iter_mut().enumerate() {
        let at = &products.data[i * A::INPUTS * products.point..];
        *row = A::output(simd, strided::load(simd, A::INPUTS, at, products.point));
    }
    let mut outputs = [[zero; MAX_OUTPUTS]; MAX_OUTPUTS];
    for j in 0..A::OUTPUTS {
        let mut column = [zero; MAX_INPUTS];
        for (value, row) in column[..A::INPUTS].iter_mut().zip(&rows) {
            *value = row[j];
        }
        for (row, &value) in outputs.iter_mut().zip(&A::output(simd, column)[..A::OUTPUTS]) {
            row[j] = value;
        }
    }
    outputs
}

impl<T> TilePixels<'_, T> {
    /// Stores some channels of the outputs, and prefetches the next tile's pixels.
    #[inline(always)]
    fn store<S: Simd<T = T>, A: Transform>(&mut self, simd: S, outputs: &Outputs<S>, channels: Range<usize>) {
        for (i, outputs) in outputs[..self.rows].iter().enumerate() {
            if self.rows == A::OUTPUTS && self.columns == A::OUTPUTS {
                for j in A::OUTPUTS..2 * A::OUTPUTS {
                    simd.prefetch(self.to.address(i * self.width + j, channels.start));
                }
            }
            self.to.store(simd, i * self.width, &outputs[..self.columns], channels.clone());
        }
    }
}

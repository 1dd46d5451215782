//! The gradient of the filters: at each point, the tiles' channels times the gradients of their outputs, added up over
//! all tiles and turned back to the nine weights of a filter at the end.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::{GAP, Memory, Source, Tiling, evaluate_row, tile_step};
use super::transform::{Inputs, MOST_INPUTS, OutputGradients, Transform};
use super::{MOST_LANES, Tile, TileOperation};
use crate::Element;
use crate::isa::apart;
use crate::isa::{Dispatch, Product, Simd, Start};
use crate::panels::cut;
use crate::patch::Input;

/// Tiles that a product sums over, about: enough that the sums are seldom loaded and stored.
const DEPTH: usize = 56;

/// Channels that are at the points at a time, so that they and the sums stay in the cache.
const CHANNELS: usize = 32;

/// Parts that the sum over tiles is cut into; each has a copy of the filters at the points to add to.
const SPLITS: usize = 8;

/// Elements that all copies together should not exceed: 32 MiB in `f32`.
const COPIES: usize = 8 * 1024 * 1024;

/// `gradient` of 3x3 weights, `[out][in][3][3]`, as [`crate::conv::weight_gradient`].
///
/// # Panics
/// `input` is neither raw nor a pre-activation, or the gradients do not fit it.
pub fn weight_gradient<T: Dispatch>(input: &Input<'_, T>, tile: Tile, output_gradient: &[T], gradient: &mut [T]) {
    let tiling = Tiling { grid: input.grid(), outputs: tile.outputs() };
    let (channels, out) = (input.channels(), output_gradient.len() / tiling.grid.pixels());
    assert_eq!(output_gradient.len(), out * tiling.grid.pixels(), "output gradient of {:?}", tiling.grid);
    assert_eq!(gradient.len(), out * channels * 9, "gradient of {out} by {channels} filters");
    let widths: Vec<_> = cut(out, T::lanes()).collect();
    let padded = out.next_multiple_of(T::lanes());
    let output_gradient = Source::raw(output_gradient, tiling.grid, &out);
    let back = Back { source: Source::new(input), output_gradient, tiling, channels, widths: &widths, padded };
    let len = tiling.points() * channels * padded;
    let rows = tiling.grid.images * tiling.down();
    let most = (COPIES / len).clamp(2, SPLITS);
    let splits = rows.div_ceil(back.rows_at_a_time()).min(most);
    let mut copies = vec![T::zero(); splits * len];
    copies.par_chunks_mut(len).enumerate().with_max_len(1).for_each(|(s, copy)| {
        back.add(tile, s * rows / splits..(s + 1) * rows / splits, copy);
    });
    add_up(&mut copies, len);
    let copy = &copies[..len];
    gradient.par_chunks_mut(T::lanes() * channels * 9).enumerate().for_each(|(group, gradient)| {
        tile.dispatch(Filter { copy, group: group * T::lanes(), channels, padded, gradient });
    });
}

/// Adds all copies of `len` elements to the first, in order.
fn add_up<T: Dispatch>(copies: &mut [T], len: usize) {
    let (first, others) = copies.split_at_mut(len);
    const PIECE: usize = 4096;
    first.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sums)| {
        for other in others.chunks_exact(len) {
            sums.iter_mut().zip(&other[piece * PIECE..]).for_each(|(sum, &value)| *sum += value);
        }
    });
}

/// A weight gradient, before it is cut into splits.
struct Back<'a, T> {
    source: Source<'a, T>,
    output_gradient: Source<'a, T>,
    tiling: Tiling,
    channels: usize,
    /// First column, columns and vectors of each panel of output channels.
    widths: &'a [(usize, usize, usize)],
    /// Output channels, with those that fill the last vector.
    padded: usize,
}

impl<T: Dispatch> Back<'_, T> {
    /// Rows of tiles that make up a product's depth.
    fn rows_at_a_time(&self) -> usize {
        (DEPTH / self.tiling.across()).max(1)
    }

    /// Adds the tiles of `rows` to `copy`, `[point][channel][output channel]`, which holds zeros.
    fn add(&self, tile: Tile, rows: Range<usize>, copy: &mut [T]) {
        let (tiling, points) = (&self.tiling, self.tiling.points());
        let tiles = self.rows_at_a_time() * tiling.across();
        let (step, width) = (tile_step::<T>(CHANNELS), self.padded);
        let lengths = [points * (tiles * step + GAP), points * (tiles * width + self.widths.len() * GAP)];
        let widest = self.source.maps.widths().iter().copied().max().expect("a map").max(width);
        let memory = widest + 2 * tiling.strip::<T>() + lengths[0] + lengths[1];
        T::scratch(memory, |memory| {
            for start in rows.clone().step_by(self.rows_at_a_time()) {
                let rows = start..rows.end.min(start + self.rows_at_a_time());
                let (zeros, memory) = memory.split_at_mut(widest);
                let (strips, memory) = memory.split_at_mut(2 * tiling.strip::<T>());
                let (transformed, gradients) = memory.split_at_mut(lengths[0]);
                zeros.fill(T::zero());
                strips.fill(T::zero());
                tile.dispatch(Rows { back: self, rows, zeros, strips, transformed, step, gradients, copy });
            }
        });
    }
}

/// Some rows of tiles, and where they are evaluated: `[point][tile][channel]` of some channels, and the outputs'
/// gradients, `[panel][point][tile][output channel]`.
struct Rows<'a, T> {
    back: &'a Back<'a, T>,
    rows: Range<usize>,
    zeros: &'a [T],
    strips: &'a mut [T],
    transformed: &'a mut [T],
    step: usize,
    gradients: &'a mut [T],
    copy: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for Rows<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { back, rows, zeros, strips, transformed, step, gradients, copy } = self;
        let Back { source, output_gradient, tiling, channels, padded, .. } = back;
        let (strip, other) = strips.split_at_mut(tiling.strip::<T>());
        let (mut of_inputs, mut of_gradients) = (Memory { zeros, strip }, Memory { zeros, strip: other });
        let (points, across) = (A::INPUTS * A::INPUTS, tiling.across());
        let (tiles, from) = (rows.len() * across, transformed.len() / points);
        let mut panels = &mut *gradients;
        for &(first, columns, vectors) in back.widths {
            let (width, to) = (vectors * S::LANES, tiles * vectors * S::LANES + GAP);
            let (panel, behind) = panels.split_at_mut(points * to);
            panels = behind;
            for (i, row) in rows.clone().enumerate() {
                let (at, to) = ((output_gradient, tiling, row), (&mut panel[i * across * width..], width, to));
                evaluate_row::<S, OutputGradients<A>>(simd, at, first..first + columns, &mut of_gradients, to);
            }
        }
        for start in (0..*channels).step_by(CHANNELS) {
            let some = start..(*channels).min(start + CHANNELS);
            for (i, row) in rows.clone().enumerate() {
                let to = (&mut transformed[i * across * step..], step, from);
                evaluate_row::<S, Inputs<A>>(simd, (source, tiling, row), some.clone(), &mut of_inputs, to);
            }
            let (mut panels, end) = (&*gradients, some.len() * padded);
            for &(first, _, vectors) in back.widths {
                let (width, to) = (vectors * S::LANES, tiles * vectors * S::LANES + GAP);
                let (panel, behind) = panels.split_at(points * to);
                panels = behind;
                for point in 0..points {
                    let copy = &mut copy[(point * channels + start) * padded..][..end];
                    let (a, b) = (&transformed[point * from..], &panel[point * to..][..tiles * width]);
                    outer_products(simd, (a, step), (b, tiles, vectors), (&mut copy[first..], *padded), some.len());
                }
            }
        }
    }
}

/// Adds the products of `channels` channels of tiles, `step` elements apart, and a panel of their gradients, summed over
/// the tiles, to `copy`, `[channel][output channel]`, channels `padded` elements apart.
#[inline(always)]
fn outer_products<S: Simd<T: Dispatch>>(
    simd: S,
    (a, step): (&[S::T], usize),
    (b, tiles, vectors): (&[S::T], usize, usize),
    (copy, padded): (&mut [S::T], usize),
    channels: usize,
) {
    let parts = channels.div_ceil(S::ROWS[vectors - 1]);
    for part in 0..parts {
        let (first, behind) = (part * channels / parts, (part + 1) * channels / parts);
        let product = Product {
            a: &a[first..],
            row: 1,
            step,
            taps: &[0],
            depth: tiles,
            b,
            rows: behind - first,
            vectors,
            columns: vectors * S::LANES,
            floor: S::T::of(f64::NEG_INFINITY),
        };
        product.run(simd, Start::Output, &mut copy[first * padded..], padded);
    }
}

/// The filters of one vector of output channels, turned back from the points.
struct Filter<'a, T> {
    copy: &'a [T],
    group: usize,
    channels: usize,
    padded: usize,
    gradient: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for Filter<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { copy, group, channels, padded, gradient } = self;
        let point = channels * padded;
        let zero = simd.splat(T::zero());
        let mut weights = [T::zero(); 9 * MOST_LANES];
        for channel in 0..channels {
            let copy = &copy[channel * padded + group..];
            let mut rows = [[zero; 3]; MOST_INPUTS];
            for (i, row) in rows[..A::INPUTS].iter_mut().enumerate() {
                let at = apart::load(simd, A::INPUTS, &copy[i * A::INPUTS * point..], point);
                *row = A::filter_gradient(simd, at);
            }
            for x in 0..3 {
                let mut column = [zero; MOST_INPUTS];
                for (value, row) in column[..A::INPUTS].iter_mut().zip(&rows) {
                    *value = row[x];
                }
                for (y, &weight) in A::filter_gradient(simd, column).iter().enumerate() {
                    simd.store(weight, &mut weights[(3 * y + x) * S::LANES..][..S::LANES]);
                }
            }
            for (lane, filters) in gradient.chunks_exact_mut(channels * 9).enumerate() {
                for (tap, weight) in filters[9 * channel..][..9].iter_mut().enumerate() {
                    *weight = weights[tap * S::LANES + lane];
                }
            }
        }
    }
}

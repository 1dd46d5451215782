//! The gradient of the filters: at each point, the tiles' channels times the gradients of their outputs, summed over
//! all tiles; at the end, an inverse transform turns the sums into the nine weights of each filter.

use std::ops::Range;

use rayon::prelude::*;

use super::points::{GAP, PointsMut, tile_stride};
use super::tile_size::{TileOperation, TileSize};
use super::tiling::Tiling;
use super::to_points::{Memory, Source, transform_row, with_memory};
use super::transform::{Inputs, MAX_INPUTS, OutputGradients, Transform};
use crate::gemm::{Beta, Lines, OuterProducts, Panel, PrefetchStream, panels};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::Input;
use crate::parallel::split_k;
use crate::simd::strided::{self, MatrixMut};
use crate::simd::{Dispatch, MAX_LANES, Simd};

/// Approximate number of tiles that a product sums over: enough that the sums are seldom loaded and stored.
const K: usize = 56;

/// The most channels that are at the points at a time, per unit of cache, so that they and the sums stay there.
const CHANNELS: usize = 18;

/// Cuts the channels of maps into runs of at most `most`, without splitting a vector of a map's channels.
fn channel_runs(map_channels: &[usize], lanes: usize, most: usize) -> Vec<Range<usize>> {
    let (mut runs, mut run) = (Vec::new(), 0..0);
    for &channels in map_channels {
        for start in (0..channels).step_by(lanes) {
            let end = run.end + lanes.min(channels - start);
            if end - run.start > most {
                runs.push(run.clone());
                run.start = run.end;
            }
            run.end = end;
        }
    }
    runs.push(run);
    runs
}

instantiate! {
    /// Computes the gradient `dw` of 3x3 weights, `[out][in][3][3]`, like [`crate::direct::backward_weights`].
    ///
    /// # Panics
    /// If `input` is neither raw nor a pre-activation without pooling, or the gradients do not fit it.
    pub fn backward_weights<T>(input: &Input<'_, T>, tile: TileSize, dy: &[T], dw: &mut [T]) {
        let tiling = Tiling { grid: input.grid(), outputs: tile.outputs() };
        let (channels, out) = (input.channels(), dy.len() / tiling.grid.pixels());
        assert_eq!(dy.len(), out * tiling.grid.pixels(), "output gradient of {:?}", tiling.grid);
        assert_eq!(dw.len(), out * channels * 9, "gradient of {out} by {channels} filters");
        let (panels, source) = (panels(out, T::lanes()).collect(), Source::new(input));
        let runs = channel_runs(source.maps.map_channels(), T::lanes(), CHANNELS * T::cache());
        let padded = out.next_multiple_of(T::lanes());
        let stride = tile_stride::<T>(runs.iter().map(Range::len).max().expect("a map"));
        let rows_at_a_time = (K / tiling.across()).max(1);
        let dy = Source::raw(dy, tiling.grid, &out);
        let backward = BackwardWeights { source, dy, tiling, channels, runs, stride, panels, padded, rows_at_a_time };
        let rows = tiling.grid.images * tiling.down();
        let mut work: Vec<_> =
            (0..rows).step_by(rows_at_a_time).map(|first| first..rows.min(first + rows_at_a_time)).collect();
        let add = |rows: &mut [Range<usize>], sums: &mut [T]| backward.add(tile, rows, sums);
        split_k(&mut work, rows * tiling.across(), tiling.points() * channels * padded, add, |sums| {
            dw.par_chunks_mut(T::lanes() * channels * 9).enumerate().for_each(|(group, dw)| {
                tile.dispatch(InverseFilters { sums, first: group * T::lanes(), channels, padded, dw });
            });
        });
    }
}

/// A weight gradient, before it is cut into parts.
struct BackwardWeights<'a, T> {
    source: Source<'a, T>,
    dy: Source<'a, T>,
    tiling: Tiling,
    channels: usize,
    /// Channels that are at the points at a time.
    runs: Vec<Range<usize>>,
    /// Elements from one of their tiles to the next.
    stride: usize,
    /// Panels of output channels.
    panels: Vec<Panel>,
    /// Output channels including those that fill up the last vector.
    padded: usize,
    /// Rows of tiles whose tiles are a product's K.
    rows_at_a_time: usize,
}

impl<T: Dispatch + Scratch> BackwardWeights<'_, T> {
    /// What is read after channel run number `run` of `rows` of tiles: the next run, or the first run of the `next` rows and
    /// the gradients of their outputs.
    fn next_runs(&self, rows: &Range<usize>, next: Option<&Range<usize>>, run: usize) -> impl Iterator<Item = &[T]> {
        let (rows, run, out) = match (self.runs.get(run + 1), next) {
            (Some(run), _) => (rows, run.clone(), 0..0),
            (None, Some(next)) => (next, self.runs[0].clone(), 0..1),
            (None, None) => (rows, 0..0, 0..0),
        };
        let pixels = self.tiling.pixels(rows);
        self.dy.maps.runs(pixels.clone(), out).chain(self.source.maps.runs(pixels, run))
    }

    /// Writes the sums over the tiles of some `rows` to `sums`, `[point][channel][output channel]`.
    fn add(&self, tile: TileSize, rows: &[Range<usize>], sums: &mut [T]) {
        let points = self.tiling.points();
        let tiles = self.rows_at_a_time * self.tiling.across();
        let widest = self.source.maps.map_channels().iter().copied().max().expect("a map").max(self.padded);
        let point = tiles * self.stride + GAP;
        let lengths = [points * point, points * (tiles * self.padded + self.panels.len() * GAP)];
        with_memory(widest, lengths, |memory, [transformed, dy]| {
            let transformed = PointsMut { data: transformed, tile: self.stride, point };
            tile.dispatch(RowsOfTiles { backward: self, rows, memory, transformed, dy, sums });
        });
    }
}

/// Rows of tiles, and their working memory, transformed in parts: `[point][tile][channel]` for some channels, and the
/// outputs' gradients, `[panel][point][tile][output channel]`.
struct RowsOfTiles<'a, T> {
    backward: &'a BackwardWeights<'a, T>,
    rows: &'a [Range<usize>],
    memory: Memory<'a, T>,
    transformed: PointsMut<'a, T>,
    dy: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Dispatch + Scratch> TileOperation<T> for RowsOfTiles<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(mut self, simd: S) {
        for (i, rows) in self.rows.iter().enumerate() {
            let beta = if i == 0 { Beta::Zero } else { Beta::One };
            self.transform_dy::<S, A>(simd, rows);
            for run in 0..self.backward.runs.len() {
                let mut next = self.backward.next_runs(rows, self.rows.get(i + 1), run);
                self.add_channels::<S, A>(simd, rows, run, beta, &mut PrefetchStream::new(&mut next));
            }
        }
    }
}

impl<T: Dispatch + Scratch> RowsOfTiles<'_, T> {
    /// Transforms the gradients of the outputs of `rows`.
    #[inline(always)]
    fn transform_dy<S: Simd<T = T>, A: Transform>(&mut self, simd: S, rows: &Range<usize>) {
        let BackwardWeights { dy, tiling, panels, .. } = self.backward;
        let (mut rest, across) = (&mut *self.dy, tiling.across());
        for &Panel { first, n, width, .. } in panels {
            let point = rows.len() * across * width + GAP;
            let (panel, next) = rest.split_at_mut(A::INPUTS * A::INPUTS * point);
            rest = next;
            let mut panel = PointsMut { data: panel, tile: width, point };
            for (i, row) in rows.clone().enumerate() {
                let (channels, to) = (first..first + n, panel.from(i * across * width));
                transform_row::<S, OutputGradients<A>>(simd, dy, tiling, row, channels, &mut self.memory, to);
            }
        }
    }

    /// Transforms a run of channels of `rows`, and adds their products with the gradients to the sums.
    #[inline(always)]
    fn add_channels<S: Simd<T = T>, A: Transform>(
        &mut self,
        simd: S,
        rows: &Range<usize>,
        run: usize,
        beta: Beta<'_, T>,
        stream: &mut PrefetchStream<'_, '_, T>,
    ) {
        let BackwardWeights { source, tiling, runs, stride, panels, padded, channels: all, .. } = self.backward;
        let (points, across, channels) = (A::INPUTS * A::INPUTS, tiling.across(), runs[run].clone());
        let tiles = rows.len() * across;
        for (i, row) in rows.clone().enumerate() {
            let to = self.transformed.from(i * across * stride);
            transform_row::<S, Inputs<A>>(simd, source, tiling, row, channels.clone(), &mut self.memory, to);
        }
        let (transformed, mut rest) = (self.transformed.read(), &*self.dy);
        let pixels = Lines { starts: &[0], stride: *stride, len: tiles };
        for &Panel { first, vectors, width, .. } in panels {
            let dy_point = tiles * width + GAP;
            let (panel, next) = rest.split_at(points * dy_point);
            rest = next;
            for point in 0..points {
                let a = &transformed.data[point * transformed.point..];
                let b = &panel[point * dy_point..][..tiles * width];
                let sums = &mut self.sums[(point * all + channels.start) * padded..][..channels.len() * padded];
                let (_, sums) = MatrixMut::new(sums, *padded, *padded).split_columns(first);
                OuterProducts { a, pixels, b, vectors }.run(simd, beta, sums, stream);
            }
        }
    }
}

/// The gradients of the filters of one vector of output channels, from the sums at the points.
struct InverseFilters<'a, T> {
    /// `[point][channel][output channel]`.
    sums: &'a [T],
    /// First of the output channels.
    first: usize,
    channels: usize,
    padded: usize,
    dw: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for InverseFilters<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { sums, first, channels, padded, dw } = self;
        let point = channels * padded;
        let zero = simd.splat(T::zero());
        let mut weights = [T::zero(); 9 * MAX_LANES];
        for channel in 0..channels {
            let sums = &sums[channel * padded + first..];
            let mut rows = [[zero; 3]; MAX_INPUTS];
            for (i, row) in rows[..A::INPUTS].iter_mut().enumerate() {
                let at = strided::load(simd, A::INPUTS, &sums[i * A::INPUTS * point..], point);
                *row = A::dw(simd, at);
            }
            for x in 0..3 {
                let mut column = [zero; MAX_INPUTS];
                for (value, row) in column[..A::INPUTS].iter_mut().zip(&rows) {
                    *value = row[x];
                }
                for (y, &weight) in A::dw(simd, column).iter().enumerate() {
                    simd.store(weight, &mut weights[(3 * y + x) * S::LANES..][..S::LANES]);
                }
            }
            for (lane, filters) in dw.chunks_exact_mut(channels * 9).enumerate() {
                for (place, weight) in filters[9 * channel..][..9].iter_mut().enumerate() {
                    *weight = weights[place * S::LANES + lane];
                }
            }
        }
    }
}

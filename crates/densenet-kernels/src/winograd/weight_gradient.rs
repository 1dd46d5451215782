//! The gradient of the filters: at each point, the tiles' channels times the gradients of their outputs, added up over
//! all tiles and turned back to the nine weights of a filter at the end.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::{GAP, Memory, Source, Tiling, evaluate_row, tile_step, with_memory};
use super::transform::{Inputs, MOST_INPUTS, OutputGradients, Transform};
use super::{Tile, TileOperation};
use crate::ahead::Ahead;
use crate::compiled::compiled;
use crate::conv::{Lines, outer_products};
use crate::isa::apart;
use crate::isa::{Dispatch, MOST_LANES, Simd, Start};
use crate::panels::cut;
use crate::patch::Input;
use crate::splits::summed;

/// Tiles that a product sums over, about: enough that the sums are seldom loaded and stored.
const DEPTH: usize = 56;

/// Most channels that are at the points at a time, for each unit of cache, so that they and the sums stay there.
const CHANNELS: usize = 18;

/// Cuts the channels of maps of `widths` into runs of at most `most`, no vector of a map's channels in two of them.
fn runs(widths: &[usize], lanes: usize, most: usize) -> Vec<Range<usize>> {
    let (mut runs, mut run) = (Vec::new(), 0..0);
    for &width in widths {
        for start in (0..width).step_by(lanes) {
            let end = run.end + lanes.min(width - start);
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

compiled! {
    /// `gradient` of 3x3 weights, `[out][in][3][3]`, as [`crate::conv::weight_gradient`].
    ///
    /// # Panics
    /// `input` is neither raw nor a pre-activation, or the gradients do not fit it.
    pub fn weight_gradient<T>(input: &Input<'_, T>, tile: Tile, output_gradient: &[T], gradient: &mut [T]) {
        let tiling = Tiling { grid: input.grid(), outputs: tile.outputs() };
        let (channels, out) = (input.channels(), output_gradient.len() / tiling.grid.pixels());
        assert_eq!(output_gradient.len(), out * tiling.grid.pixels(), "output gradient of {:?}", tiling.grid);
        assert_eq!(gradient.len(), out * channels * 9, "gradient of {out} by {channels} filters");
        let widths: Vec<_> = cut(out, T::lanes()).collect();
        let source = Source::new(input);
        let runs = runs(source.maps.widths(), T::lanes(), CHANNELS * T::cache());
        let padded = out.next_multiple_of(T::lanes());
        let output_gradient = Source::raw(output_gradient, tiling.grid, &out);
        let at_a_time = (DEPTH / tiling.across()).max(1);
        let rows = tiling.grid.images * tiling.down();
        let step = tile_step::<T>(runs.iter().map(Range::len).max().expect("a map"));
        let back =
            Back { source, output_gradient, tiling, channels, runs: &runs, step, widths: &widths, padded, at_a_time };
        let mut runs_of_rows: Vec<_> =
            (0..rows).step_by(at_a_time).map(|first| first..rows.min(first + at_a_time)).collect();
        let add = |rows: &mut [Range<usize>], copy: &mut [T]| back.add(tile, rows, copy);
        summed(&mut runs_of_rows, tiling.points() * channels * padded, add, |sums| {
            gradient.par_chunks_mut(T::lanes() * channels * 9).enumerate().for_each(|(group, gradient)| {
                tile.dispatch(Filter { sums, group: group * T::lanes(), channels, padded, gradient });
            });
        });
    }
}

/// A weight gradient, before it is cut into parts.
struct Back<'a, T> {
    source: Source<'a, T>,
    output_gradient: Source<'a, T>,
    tiling: Tiling,
    channels: usize,
    /// Channels that are at the points at a time.
    runs: &'a [Range<usize>],
    /// Elements from one of their tiles to the next.
    step: usize,
    /// First column, columns and vectors of each panel of output channels.
    widths: &'a [(usize, usize, usize)],
    /// Output channels, with those that fill the last vector.
    padded: usize,
    /// Rows of tiles that make up a product's depth.
    at_a_time: usize,
}

impl<T: Dispatch> Back<'_, T> {
    /// What is read behind run number `run` of the channels of `rows` of tiles: the next run, or the first of the rows
    /// behind and the gradients of their outputs.
    fn behind(&self, (rows, behind): (&Range<usize>, Option<&Range<usize>>), run: usize) -> impl Iterator<Item = &[T]> {
        let Self { source, output_gradient, tiling, runs, .. } = self;
        let (rows, run, out) = match (runs.get(run + 1), behind) {
            (Some(run), _) => (rows, run.clone(), 0..0),
            (None, Some(behind)) => (behind, runs[0].clone(), 0..1),
            (None, None) => (rows, 0..0, 0..0),
        };
        let pixels = tiling.pixels(rows);
        output_gradient.maps.runs(pixels.clone(), out).chain(source.maps.runs(pixels, run))
    }

    /// Puts the sums over the tiles of runs of `rows` into `copy`, `[point][channel][output channel]`.
    fn add(&self, tile: Tile, rows: &[Range<usize>], copy: &mut [T]) {
        let (tiling, points) = (&self.tiling, self.tiling.points());
        let tiles = self.at_a_time * tiling.across();
        let widest = self.source.maps.widths().iter().copied().max().expect("a map").max(self.padded);
        let transformed = points * (tiles * self.step + GAP);
        let gradients = points * (tiles * self.padded + self.widths.len() * GAP);
        with_memory(widest, [transformed, gradients], |memory, [transformed, gradients]| {
            tile.dispatch(Part { back: self, rows, memory, transformed, gradients, copy });
        });
    }
}

/// Runs of rows of tiles, and where they are evaluated, some at a time: `[point][tile][channel]` of some channels, and
/// the outputs' gradients, `[panel][point][tile][output channel]`.
struct Part<'a, T> {
    back: &'a Back<'a, T>,
    rows: &'a [Range<usize>],
    memory: Memory<'a, T>,
    transformed: &'a mut [T],
    gradients: &'a mut [T],
    copy: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for Part<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(mut self, simd: S) {
        for (i, rows) in self.rows.iter().enumerate() {
            let start = if i == 0 { Start::Zero } else { Start::Output };
            self.evaluate_gradients::<S, A>(simd, rows);
            for (j, channels) in self.back.runs.iter().enumerate() {
                let back = self.back;
                let mut behind = back.behind((rows, self.rows.get(i + 1)), j);
                self.add_channels::<S, A>(simd, rows, (channels.clone(), start), &mut Ahead::new(&mut behind));
            }
        }
    }
}

impl<T: Dispatch> Part<'_, T> {
    /// Evaluates the gradients of the outputs of `rows`.
    #[inline(always)]
    fn evaluate_gradients<S: Simd<T = T>, A: Transform>(&mut self, simd: S, rows: &Range<usize>) {
        let Back { output_gradient, tiling, widths, .. } = self.back;
        let (mut panels, across) = (&mut *self.gradients, tiling.across());
        for &(first, columns, vectors) in *widths {
            let width = vectors * S::LANES;
            let point = rows.len() * across * width + GAP;
            let (panel, behind) = panels.split_at_mut(A::INPUTS * A::INPUTS * point);
            panels = behind;
            for (i, row) in rows.clone().enumerate() {
                let (at, to) = ((output_gradient, tiling, row), (&mut panel[i * across * width..], width, point));
                evaluate_row::<S, OutputGradients<A>>(simd, at, first..first + columns, &mut self.memory, to);
            }
        }
    }

    /// Evaluates some channels of `rows`, and adds their products with the gradients to the sums, on top of `start`. Asks
    /// for what is `ahead`.
    #[inline(always)]
    fn add_channels<S: Simd<T = T>, A: Transform>(
        &mut self,
        simd: S,
        rows: &Range<usize>,
        (channels, start): (Range<usize>, Start<'_, T>),
        ahead: &mut Ahead<'_, '_, T>,
    ) {
        let Back { source, tiling, step, widths, padded, channels: all, .. } = self.back;
        let (points, across, step) = (A::INPUTS * A::INPUTS, tiling.across(), *step);
        let (tiles, from) = (rows.len() * across, self.transformed.len() / points);
        for (i, row) in rows.clone().enumerate() {
            let to = (&mut self.transformed[i * across * step..], step, from);
            evaluate_row::<S, Inputs<A>>(simd, (source, tiling, row), channels.clone(), &mut self.memory, to);
        }
        let mut panels = &*self.gradients;
        for &(first, _, vectors) in *widths {
            let width = vectors * S::LANES;
            let to = tiles * width + GAP;
            let (panel, behind) = panels.split_at(points * to);
            panels = behind;
            for point in 0..points {
                let (a, b) = (&self.transformed[point * from..], &panel[point * to..][..tiles * width]);
                let copy = &mut self.copy[(point * all + channels.start) * padded + first..];
                let pixels = Lines { starts: &[0], step, len: tiles };
                outer_products(simd, (a, pixels), (b, vectors), (copy, *padded, start), channels.len(), ahead);
            }
        }
    }
}

/// The filters of one vector of output channels, turned back from the points.
struct Filter<'a, T> {
    /// `[point][channel][output channel]`.
    sums: &'a [T],
    /// First of the output channels.
    group: usize,
    channels: usize,
    padded: usize,
    gradient: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for Filter<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { sums, group, channels, padded, gradient } = self;
        let point = channels * padded;
        let zero = simd.splat(T::zero());
        let mut weights = [T::zero(); 9 * MOST_LANES];
        for channel in 0..channels {
            let sums = &sums[channel * padded + group..];
            let mut rows = [[zero; 3]; MOST_INPUTS];
            for (i, row) in rows[..A::INPUTS].iter_mut().enumerate() {
                let at = apart::load(simd, A::INPUTS, &sums[i * A::INPUTS * point..], point);
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

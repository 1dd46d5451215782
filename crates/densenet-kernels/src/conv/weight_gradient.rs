//! The gradient of a convolution's weights.

use std::ops::Range;

use rayon::prelude::*;

use crate::Element;
use crate::bands::{Band, Bands, LOW};
use crate::isa::{Dispatch, Operation, Product, Simd, Start};
use crate::panels::cut;
use crate::patch::{Input, Layout, Window};
use crate::splits::summed;

/// `gradient` of convolution weights, `[out][in][kernel][kernel]`, from the gradient of the output,
/// `[image][y][x][channel]`. The input is normalised and rectified again instead of having been kept.
pub fn weight_gradient<T: Dispatch>(input: &Input<'_, T>, window: Window, output_gradient: &[T], gradient: &mut [T]) {
    let input = &input.for_window(window);
    let (layout, grid) = (Layout::new(input, window), window.output(input.grid()));
    let rows = window.kernel * window.kernel * input.channels();
    let out = output_gradient.len() / grid.pixels();
    assert_eq!(output_gradient.len(), out * grid.pixels(), "output gradient of {grid:?}");
    assert_eq!(gradient.len(), out * rows, "gradient of {out} by {rows} weights");
    let bands = if window == Window::POINT { Bands::new(grid, layout.row()) } else { Bands::low(grid, layout.row()) };
    let lanes = T::lanes();
    let back = WeightBack { input, layout, bands, output_gradient, out, padded: out.next_multiple_of(lanes) };
    summed(
        bands.len(),
        rows * back.padded,
        |part, copy| back.add(part, copy),
        |sums| {
            gradient.par_chunks_mut(lanes * rows).enumerate().for_each(|(group, gradient)| {
                back.transpose(&sums[group * lanes..], window.kernel * window.kernel, gradient);
            });
        },
    );
}

/// A weight gradient, before it is cut into bands.
struct WeightBack<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    bands: Bands,
    output_gradient: &'a [T],
    out: usize,
    padded: usize,
}

impl<T: Dispatch> WeightBack<'_, T> {
    /// Puts the sums over the bands of `part` into `copy`.
    fn add(&self, part: Range<usize>, copy: &mut [T]) {
        for index in part.clone() {
            let band = self.bands.get(index);
            let start = if index == part.start { Start::Zero } else { Start::Output };
            let memory = self.layout.len(band.rows.len()) + self.bands.pixels(&band).len() * self.padded;
            T::scratch(memory, |memory| {
                T::dispatch(WeightBand { back: self, band: &band, start, memory, copy });
            });
        }
    }

    /// Puts the sums of some output channels, of `taps` taps each, into their places.
    fn transpose(&self, sums: &[T], taps: usize, gradient: &mut [T]) {
        let channels = self.input.channels();
        for (k, sums) in sums.chunks(self.padded).enumerate() {
            let place = k % channels * taps + k / channels;
            for (weights, &sum) in gradient.chunks_exact_mut(channels * taps).zip(sums) {
                weights[place] = sum;
            }
        }
    }
}

/// The part of a weight gradient that sums over one band, into `copy`, `[row of weights][padded output channel]`.
struct WeightBand<'a, T> {
    back: &'a WeightBack<'a, T>,
    band: &'a Band,
    start: Start<'a, T>,
    memory: &'a mut [T],
    copy: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for WeightBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { back, band, start, memory, copy } = self;
        let WeightBack { input, layout, bands, output_gradient, out, .. } = back;
        let (patch, dy) = memory.split_at_mut(layout.len(band.rows.len()));
        input.fill(simd, layout, band, patch);
        let pixels = bands.pixels(band);
        panels_of(simd, &output_gradient[pixels.start * out..pixels.end * out], *out, dy);
        outer_products(simd, (patch, layout, band.rows.len()), (dy, *out), start, copy);
    }
}

/// Copies pixels of `out` channels to panels, `[panel][pixel][width]`, zeros behind the last channel.
#[inline(always)]
fn panels_of<S: Simd>(simd: S, pixels: &[S::T], out: usize, mut panels: &mut [S::T]) {
    let count = pixels.len() / out;
    for (first, columns, vectors) in cut(out, S::LANES) {
        let width = vectors * S::LANES;
        let (panel, behind) = std::mem::take(&mut panels).split_at_mut(count * width);
        panels = behind;
        for (from, to) in pixels.chunks_exact(out).zip(panel.chunks_exact_mut(width)) {
            let from = &from[first..first + columns];
            for start in (0..width).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(columns);
                simd.store(simd.load(&from[lanes]), &mut to[start..start + S::LANES]);
            }
        }
    }
}

/// Adds `patch` transposed times `dy` to `copy`: rows of the micro-tile are channels, its depth is pixels.
#[inline(always)]
fn outer_products<S: Simd<T: Dispatch>>(
    simd: S,
    (patch, layout, rows): (&[S::T], &Layout, usize),
    (mut dy, out): (&[S::T], usize),
    start: Start<'_, S::T>,
    copy: &mut [S::T],
) {
    let padded = out.next_multiple_of(S::LANES);
    let (taps, count) = layout.taps();
    let mut lines = [0; LOW];
    let (lines, depth) = layout.lines(rows, &mut lines);
    for (first, columns, vectors) in cut(out, S::LANES) {
        let (panel, behind) = dy.split_at(rows * layout.outputs * vectors * S::LANES);
        dy = behind;
        for (t, tap) in taps[..count].iter().enumerate() {
            let tiles = layout.depth.div_ceil(S::ROWS[vectors - 1]);
            for tile in 0..tiles {
                let channels = tile * layout.depth / tiles..(tile + 1) * layout.depth / tiles;
                let product = Product {
                    a: &patch[tap + channels.start..],
                    row: 1,
                    step: layout.step(),
                    taps: lines,
                    depth,
                    b: panel,
                    rows: channels.len(),
                    vectors,
                    columns: columns.next_multiple_of(S::LANES),
                    floor: S::T::of(f64::NEG_INFINITY),
                };
                product.run(simd, start, &mut copy[(t * layout.depth + channels.start) * padded + first..], padded);
            }
        }
    }
}

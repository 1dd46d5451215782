//! The gradient of a convolution's weights.

use super::outer::{Lines, outer_products, panels_of, transpose};
use crate::ahead::Ahead;
use crate::bands::{Band, Bands, LOW};
use crate::isa::{Dispatch, Operation, Simd, Start};
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
    let padded = out.next_multiple_of(T::lanes());
    let back = WeightBack { input, layout, bands, output_gradient, out, padded };
    let mut numbers: Vec<usize> = (0..bands.len()).collect();
    let add = |numbers: &mut [usize], copy: &mut [T]| back.add(numbers, copy);
    summed(&mut numbers, rows * padded, add, |sums| {
        transpose(sums, padded, (input.channels(), window.kernel * window.kernel), gradient);
    });
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
    /// Puts the sums over the bands of those `numbers` into `copy`.
    fn add(&self, numbers: &[usize], copy: &mut [T]) {
        for (i, &number) in numbers.iter().enumerate() {
            let band = self.bands.get(number);
            let start = if i == 0 { Start::Zero } else { Start::Output };
            let memory = self.layout.len(band.rows.len()) + self.bands.pixels(&band).len() * self.padded;
            T::scratch(memory, |memory| {
                T::dispatch(WeightBand { back: self, band: &band, start, memory, copy });
            });
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
        let WeightBack { input, layout, bands, output_gradient, out, padded } = back;
        let (patch, dy) = memory.split_at_mut(layout.len(band.rows.len()));
        input.fill(simd, layout, band, patch);
        let pixels = bands.pixels(band);
        panels_of(simd, (&output_gradient[pixels.start * out..pixels.end * out], *out), *out, dy);
        let ((taps, count), mut starts) = (layout.taps(), [0; LOW]);
        let behind = bands.behind(band);
        let gradients = output_gradient[pixels.end * out..].get(..pixels.len() * out);
        let mut behind = input.runs(behind).chain(gradients);
        let mut ahead = Ahead::new(&mut behind);
        let (starts, len) = layout.lines(band.rows.len(), &mut starts);
        let (lines, mut dy) = (Lines { starts, step: layout.step(), len }, &*dy);
        for (first, _, vectors) in cut(*out, S::LANES) {
            let (panel, behind) = dy.split_at(pixels.len() * vectors * S::LANES);
            dy = behind;
            for (t, tap) in taps[..count].iter().enumerate() {
                let copy = &mut copy[t * layout.depth * padded + first..];
                outer_products(simd, (&patch[*tap..], lines), (panel, vectors), (copy, *padded, start), layout.depth, &mut ahead);
            }
        }
    }
}

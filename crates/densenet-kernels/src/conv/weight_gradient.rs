//! The gradient of a convolution's weights.

use std::ops::Range;

use super::outer::{Lines, outer_products, panels_of, transpose};
use crate::ahead::Ahead;
use crate::bands::{Band, Bands, LOW};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Simd, Start};
use crate::maps::run;
use crate::norm::Uncorrected;
use crate::panels::cut;
use crate::patch::{Input, Layout, Window};
use crate::splits::summed;

/// The gradient of a convolution's output, `[image][y][x][channel]`.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a, T> {
    /// As it is, of so many channels.
    Finished(&'a [T], usize),
    /// Without the correction of the batch-norm that reads the output, which is made as it is packed.
    Uncorrected(Uncorrected<'a, T>),
}

impl<T: Dispatch> OutputGradient<'_, T> {
    /// Its channels.
    fn channels(&self) -> usize {
        match self {
            Self::Finished(_, channels) => *channels,
            Self::Uncorrected(output) => output.width(),
        }
    }

    /// Its elements.
    fn len(&self) -> usize {
        match self {
            Self::Finished(gradient, _) => gradient.len(),
            Self::Uncorrected(output) => output.gradient.len(),
        }
    }

    /// Puts `pixels` into `panels`, by way of `rows` if they are to be corrected.
    #[inline(always)]
    fn pack<S: Simd<T = T>>(&self, simd: S, pixels: Range<usize>, rows: &mut [T], panels: &mut [T]) {
        let out = self.channels();
        let elements = pixels.start * out..pixels.end * out;
        match self {
            Self::Finished(gradient, _) => panels_of(simd, (&gradient[elements], out), out, panels),
            Self::Uncorrected(output) => {
                let rows = &mut rows[..elements.len()];
                output.finish(simd, pixels, rows, out);
                panels_of(simd, (rows, out), out, panels);
            }
        }
    }

    /// Elements of the rows that so many pixels need to be packed.
    fn rows(&self, pixels: usize) -> usize {
        match self {
            Self::Finished(..) => 0,
            Self::Uncorrected(output) => pixels * output.width(),
        }
    }

    /// What is read to pack those of `pixels` that there are.
    fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let (gradient, map) = match self {
            Self::Finished(gradient, _) => (*gradient, None),
            Self::Uncorrected(output) => (output.gradient, Some(output.map)),
        };
        std::iter::once(gradient).chain(map).map(move |map| run(map, self.channels(), &pixels))
    }
}

compiled! {
    /// `gradient` of convolution weights, `[out][in][kernel][kernel]`, from the gradient of the output. The input is normalised
    /// and rectified again instead of having been kept.
    ///
    /// # Panics
    /// The gradients do not fit `input` and `window`.
    pub fn weight_gradient<T>(
        input: &Input<'_, T>,
        window: Window,
        output_gradient: &OutputGradient<'_, T>,
        gradient: &mut [T],
    ) {
        let input = &input.for_window(window);
        let (layout, grid) = (Layout::new(input, window), window.output(input.grid()));
        let rows = window.kernel * window.kernel * input.channels();
        let out = output_gradient.channels();
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
}

/// A weight gradient, before it is cut into bands.
struct WeightBack<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    bands: Bands,
    output_gradient: &'a OutputGradient<'a, T>,
    out: usize,
    padded: usize,
}

impl<T: Dispatch> WeightBack<'_, T> {
    /// Puts the sums over the bands of those `numbers` into `copy`.
    fn add(&self, numbers: &[usize], copy: &mut [T]) {
        for (i, &number) in numbers.iter().enumerate() {
            let band = self.bands.get(number);
            let start = if i == 0 { Start::Zero } else { Start::Output };
            let pixels = self.bands.pixels(&band).len();
            let lengths = [pixels * self.padded, self.output_gradient.rows(pixels), self.layout.len(band.rows.len())];
            T::scratch(lengths.iter().sum(), |mut memory| {
                let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
                T::dispatch(WeightBand { back: self, band: &band, start, arrays, copy });
            });
        }
    }
}

/// The part of a weight gradient that sums over one band, into `copy`, `[row of weights][padded output channel]`.
struct WeightBand<'a, T> {
    back: &'a WeightBack<'a, T>,
    band: &'a Band,
    start: Start<'a, T>,
    /// Where it is packed: the output's gradient in panels, and the rows on its way there; what is read.
    arrays: [&'a mut [T]; 3],
    copy: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for WeightBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { back, band, start, arrays: [dy, rows, patch], copy } = self;
        let WeightBack { input, layout, bands, output_gradient, out, padded } = back;
        input.fill(simd, layout, band, patch);
        let pixels = bands.pixels(band);
        output_gradient.pack(simd, pixels.clone(), rows, dy);
        let ((taps, count), mut starts) = (layout.taps(), [0; LOW]);
        let mut behind = input.runs(bands.behind(band)).chain(output_gradient.runs(bands.behind(band)));
        let mut ahead = Ahead::new(&mut behind);
        let (starts, len) = layout.lines(band.rows.len(), &mut starts);
        let (lines, mut dy) = (Lines { starts, step: layout.step(), len }, &*dy);
        for (first, _, vectors) in cut(*out, S::LANES) {
            let (panel, behind) = dy.split_at(pixels.len() * vectors * S::LANES);
            dy = behind;
            for (t, tap) in taps[..count].iter().enumerate() {
                let copy = &mut copy[t * layout.depth * padded + first..];
                outer_products(
                    simd,
                    (&patch[*tap..], lines),
                    (panel, vectors),
                    (copy, *padded, start),
                    layout.depth,
                    &mut ahead,
                );
            }
        }
    }
}

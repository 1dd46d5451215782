//! A convolution forward.

use super::{Epilogue, of_pixels};
use crate::ahead::Ahead;
use crate::bands::{Band, Bands};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Product, Simd, Start};
use crate::maps::Grid;
use crate::norm::Moments;
use crate::panels::Panels;
use crate::patch::{Input, Layout, Window};

compiled! {
    /// `output[image][y][x][channel]` of a convolution of `input`.
    ///
    /// # Panics
    /// `weights` or `output` do not fit `input` and `window`.
    pub fn forward<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &Panels<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        Forward::new(input, window, weights, epilogue).run_all(output);
    }

    /// [`forward`], and the batch statistics of what it makes: taken once, while it is in the cache, for all readers.
    pub fn forward_with_moments<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &Panels<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = Forward { asks: true, ..Forward::new(input, window, weights, epilogue) };
        forward.bands.run_with_moments((output, weights.columns()), &|band, output| forward.run(&band, output))
    }

    /// The output of [`forward_with_moments`] once more, without its statistics.
    pub fn forward_again<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &Panels<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        Forward { asks: true, ..Forward::new(input, window, weights, epilogue) }.run_all(output);
    }
}

/// A forward convolution and how it is cut into bands.
struct Forward<'a, T> {
    input: Input<'a, T>,
    layout: Layout,
    bands: Bands,
    weights: &'a Panels<T>,
    epilogue: &'a Epilogue<'a, T>,
    grid: Grid,
    /// Whether products ask for what they write and for what the next band reads: in training, where a batch's maps lie in
    /// memory. Those of inference are in the cache, and asking for them costs time.
    asks: bool,
}

impl<'a, T: Dispatch> Forward<'a, T> {
    fn new(input: &Input<'a, T>, window: Window, weights: &'a Panels<T>, epilogue: &'a Epilogue<'a, T>) -> Self {
        let grid = window.output(input.grid());
        let input = input.for_window(window);
        let layout = Layout::new(&input, window);
        let depth = window.kernel * window.kernel * input.channels();
        assert_eq!(weights.depth(), depth, "weights for {window:?} over {} channels", input.channels());
        let bands = Bands::new(window.output(input.grid()), layout.row());
        Self { input, layout, bands, weights, epilogue, grid, asks: false }
    }

    /// Makes all of the output.
    fn run_all(&self, output: &mut [T]) {
        self.bands.run((output, self.weights.columns()), (&mut [], 0), &|band, output, _| self.run(&band, output));
    }

    /// Makes one band of the output.
    fn run(&self, band: &Band, output: &mut [T]) {
        T::scratch(self.layout.len(band.rows.len()), |patch| {
            T::dispatch(ForwardBand { forward: self, band, patch, output });
        });
        self.epilogue.finish(output, self.weights.columns(), self.grid, self.bands.pixels(band).start);
    }
}

/// The sums of one band of a forward convolution.
struct ForwardBand<'a, T> {
    forward: &'a Forward<'a, T>,
    band: &'a Band,
    patch: &'a mut [T],
    output: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for ForwardBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { forward, band, patch, output } = self;
        let Forward { input, layout, bands, weights, epilogue, asks, .. } = forward;
        let start = match epilogue.bias {
            Some(bias) => Start::Columns(bias),
            None => Start::Zero,
        };
        input.fill(simd, layout, band, patch);
        let mut behind = asks.then(|| input.runs(bands.behind(band))).into_iter().flatten();
        let patch = (&*patch, layout, band.rows.len());
        let to = (output, weights.columns());
        multiply(simd, patch, weights, (start, epilogue.floor()), to, (*asks, &mut Ahead::new(&mut behind)));
    }
}

/// Multiplies a patch by `weights` into `output`, pixels `step` elements apart, and asks for what is `ahead`; for the output
/// itself, too, if it `asks`.
#[inline(always)]
fn multiply<S: Simd<T: Dispatch>>(
    simd: S,
    (patch, layout, rows): (&[S::T], &Layout, usize),
    weights: &Panels<S::T>,
    (start, floor): (Start<'_, S::T>, S::T),
    (output, step): (&mut [S::T], usize),
    (asks, ahead): (bool, &mut Ahead<'_, '_, S::T>),
) {
    let (taps, count) = layout.taps();
    for (panel, b) in weights.iter() {
        let start = match start {
            Start::Columns(bias) => Start::Columns(&bias[panel.first..]),
            other => other,
        };
        for (from, to, pixels) in layout.runs(rows, usize::MAX) {
            let patch = (&patch[from..], layout, pixels);
            let product = Product { asks, ..of_pixels(patch, &taps[..count], (panel, b), floor) };
            product.run(simd, start, (&mut output[to * step + panel.first..], step), ahead);
        }
    }
}

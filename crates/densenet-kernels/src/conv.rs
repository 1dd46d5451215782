//! Convolution of a pre-activation, forward and backward: the operation that a DenseNet consists of.
//!
//! [`forward`] makes `y`; [`data_gradient`] takes the gradient of `y` back through convolution, ReLU and the linear part
//! of batch-norm; [`weight_gradient`] makes the gradient of the weights. All three pack a band of their input into a
//! [patch](crate::patch) and multiply it out of there, and none needs a transpose.

use rayon::prelude::*;

use crate::bands::{Band, Bands, MOST_ROWS};
use crate::isa::{Dispatch, Operation, Product, Simd, Start};
use crate::maps::{Grid, split_mut};
use crate::norm::{MapNorm, Mode, Moments, NormGradient, Normalised, Places};
use crate::panels::{Panel, Panels, cut};
use crate::patch::{Input, Layout, Window};
use crate::{Dropout, Element};

/// What is added to and done with a convolution's sums.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value an output channel.
    pub bias: Option<&'a [T]>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Zeroes results at random.
    pub dropout: Option<Dropout>,
    /// Added last: what a residual connection carries around the convolution, laid out as the output.
    pub skip: Option<&'a [T]>,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, relu: false, dropout: None, skip: None }
    }
}

/// Panels of convolution weights `[out][in][kernel][kernel]`, for [`forward`].
pub fn forward_panels<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> Panels<T> {
    let taps = kernel * kernel;
    assert_eq!(weight.len(), out * input * taps, "weights [{out}, {input}, {kernel}, {kernel}]");
    Panels::new(taps * input, out, |k, j| weight[(j * input + k % input) * taps + k / input])
}

/// Panels of convolution weights `[out][in][kernel][kernel]`, for [`data_gradient`]: one set a feature map of the input,
/// turned by half a circle, reading output channels.
pub fn backward_panels<T: Dispatch>(weight: &[T], out: usize, widths: &[usize], kernel: usize) -> Vec<Panels<T>> {
    let (taps, input) = (kernel * kernel, widths.iter().sum::<usize>());
    assert_eq!(weight.len(), out * input * taps, "weights [{out}, {input}, {kernel}, {kernel}]");
    let mut first = 0;
    widths
        .iter()
        .map(|&width| {
            let start = first;
            first += width;
            Panels::new(taps * out, width, |k, j| weight[(k % out * input + start + j) * taps + taps - 1 - k / out])
        })
        .collect()
}

/// `output[image][y][x][channel]` of a convolution of `input`.
///
/// # Panics
/// `weights` or `output` do not fit `input` and `window`.
pub fn forward<T: Dispatch>(
    input: &Input<'_, T>,
    window: Window,
    weights: &Panels<T>,
    epilogue: &Epilogue<'_, T>,
    output: &mut [T],
) {
    let (bands, forward) = Forward::new(input, window, weights, epilogue);
    bands.run((output, weights.columns()), (&mut [], 0), &|band, output, _| forward.run(&band, output));
}

/// [`forward`], and the batch statistics of what it makes: taken once, while it is in the cache, for all readers.
pub fn forward_with_moments<T: Dispatch>(
    input: &Input<'_, T>,
    window: Window,
    weights: &Panels<T>,
    epilogue: &Epilogue<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    let (bands, forward) = Forward::new(input, window, weights, epilogue);
    bands.run_with_moments((output, weights.columns()), &|band, output| forward.run(&band, output))
}

/// A forward convolution, before it is cut into bands.
struct Forward<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    weights: &'a Panels<T>,
    epilogue: &'a Epilogue<'a, T>,
    grid: Grid,
}

impl<'a, T: Dispatch> Forward<'a, T> {
    fn new(
        input: &'a Input<'a, T>,
        window: Window,
        weights: &'a Panels<T>,
        epilogue: &'a Epilogue<'a, T>,
    ) -> (Bands, Self) {
        let (layout, grid) = (Layout::new(input, window), window.output(input.grid()));
        let depth = window.kernel * window.kernel * input.channels();
        assert_eq!(weights.depth(), depth, "weights for {window:?} over {} channels", input.channels());
        (Bands::new(grid, layout.row()), Self { input, layout, weights, epilogue, grid })
    }

    /// Makes one band of the output.
    fn run(&self, band: &Band, output: &mut [T]) {
        T::scratch(self.layout.len(band.rows.len()), |patch| {
            T::dispatch(ForwardBand { forward: self, band, patch, output });
        });
        let (width, first) = (self.weights.columns(), self.first_pixel(band));
        if let Some(dropout) = &self.epilogue.dropout {
            dropout.apply(output, width, self.grid, first);
        }
        if let Some(skip) = self.epilogue.skip {
            output.iter_mut().zip(&skip[first * width..]).for_each(|(to, &from)| *to += from);
        }
    }

    fn first_pixel(&self, band: &Band) -> usize {
        (band.image * self.grid.height + band.rows.start) * self.grid.width
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
        let Forward { input, layout, weights, epilogue, .. } = forward;
        let start = match epilogue.bias {
            Some(bias) => Start::Columns(bias),
            None => Start::Zero,
        };
        let floor = if epilogue.relu { T::zero() } else { T::neg_infinity() };
        input.fill(simd, layout, band, patch);
        multiply(simd, (patch, layout, band.rows.len()), weights, (start, floor), (output, weights.columns()));
    }
}

/// Multiplies a patch by `weights` into `output`, pixels `step` elements apart.
#[inline(always)]
fn multiply<S: Simd<T: Dispatch>>(
    simd: S,
    (patch, layout, rows): (&[S::T], &Layout, usize),
    weights: &Panels<S::T>,
    (start, floor): (Start<'_, S::T>, S::T),
    (output, step): (&mut [S::T], usize),
) {
    let (taps, count) = layout.taps();
    for (panel, b) in weights.iter() {
        let start = match start {
            Start::Columns(bias) => Start::Columns(&bias[panel.first..]),
            other => other,
        };
        for (from, to, pixels) in layout.tiles(rows, S::ROWS[panel.vectors - 1]) {
            let product = of_pixels((&patch[from..], layout, pixels), &taps[..count], (panel, b), floor);
            product.run(simd, start, &mut output[to * step + panel.first..], step);
        }
    }
}

/// The product of so many neighbouring pixels of a patch, from `patch`'s start on, with a panel of weights: rows are
/// pixels, depth is channels.
#[inline(always)]
fn of_pixels<'a, T: Element>(
    (patch, layout, pixels): (&'a [T], &Layout, usize),
    taps: &'a [usize],
    (panel, b): (Panel, &'a [T]),
    floor: T,
) -> Product<'a, T> {
    Product {
        a: patch,
        row: layout.step(),
        step: 1,
        taps,
        depth: layout.depth,
        b,
        rows: pixels,
        vectors: panel.vectors,
        columns: panel.columns,
        floor,
    }
}

/// Takes the gradient of a convolution's output back to the maps that it read: with `dz` the gradient behind
/// batch-norm, masked by ReLU, `gradient` gets `gamma * dz` and the sums of `dz` and `dz * xh` are returned. Batch-norm's
/// correction is linear, so it waits until all readers of a map have added theirs: [`crate::norm::finish`].
///
/// `output_gradient` is `[image][y][x][channel]`, `window` the forward one (of stride 1), `weights` those of
/// [`backward_panels`], `pooled` says that the convolution read [`Input::Pooled`]. `gradient` is laid out as the maps.
pub fn data_gradient<T: Dispatch>(
    output_gradient: &[T],
    window: Window,
    pooled: bool,
    weights: &[Panels<T>],
    reader: &Normalised<'_, T>,
    (mode, gradient): (Mode, &mut [T]),
) -> NormGradient<T> {
    assert_eq!(window.stride, 1, "the data gradient of a strided convolution is not needed by any DenseNet");
    let grid = reader.maps.grid();
    let seen = if pooled { grid.halved() } else { grid };
    let out = weights[0].depth() / (window.kernel * window.kernel);
    let widths: Vec<usize> = weights.iter().map(Panels::columns).collect();
    assert_eq!(widths, reader.maps.widths(), "weights for the maps");
    let input = Input::Raw(output_gradient, window.output(seen), out);
    let layout = Layout::new(&input, Window { padding: window.kernel - 1 - window.padding, ..window });
    let bands = if pooled { Bands::pairs(grid, layout.row()) } else { Bands::new(grid, layout.row()) };
    let back = Back { input, layout, bands, pooled, mode, grid };
    let sums: Vec<Vec<T>> = split_mut(gradient, grid.pixels(), reader.maps.widths())
        .into_par_iter()
        .zip(weights)
        .zip(reader.maps.iter().collect::<Vec<_>>())
        .map(|((gradient, weights), map)| {
            let width = map.1;
            let norm = MapNorm::new(reader, map);
            let mut slots = vec![T::zero(); bands.len() * 2 * width];
            bands.run((gradient, width), (&mut slots, 2 * width), &|band, gradient, sums| {
                let memory = back.layout.len(band.rows.len()) + MOST_TILE * T::lanes();
                T::scratch(memory, |memory| {
                    T::dispatch(BackBand { back: &back, weights, norm: &norm, band: &band, gradient, sums, memory });
                });
            });
            slots
        })
        .collect();
    NormGradient::merge(&sums, reader.maps.widths())
}

/// A data gradient, before it is cut into maps and bands.
struct Back<'a, T> {
    input: Input<'a, T>,
    layout: Layout,
    bands: Bands,
    pooled: bool,
    mode: Mode,
    grid: Grid,
}

/// Vectors of the largest micro-tile of any instruction set.
const MOST_TILE: usize = 32;

/// The part of a data gradient that goes to one band of one feature map.
struct BackBand<'a, T> {
    back: &'a Back<'a, T>,
    weights: &'a Panels<T>,
    norm: &'a MapNorm<'a, T>,
    band: &'a Band,
    gradient: &'a mut [T],
    sums: &'a mut [T],
    memory: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for BackBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { back, weights, norm, band, gradient, sums, memory } = self;
        let Back { input, layout, bands, pooled, mode, grid } = back;
        let rows = if *pooled { band.rows.start / 2..band.rows.end / 2 } else { band.rows.clone() };
        let seen = Band { rows, ..*band };
        let map = &norm.map[bands.pixels(band).start * norm.width..];
        let mut mode = *mode;
        if *pooled && mode == Mode::Set {
            // Pixels of an odd last row or column are in no window.
            gradient.fill(T::zero());
            mode = Mode::Add;
        }
        let (patch, tile) = memory.split_at_mut(layout.len(seen.rows.len()));
        input.fill(simd, layout, &seen, patch);
        let ((taps, count), no_floor) = (layout.taps(), T::neg_infinity());
        for (panel, b) in weights.iter() {
            for (from, to, pixels) in layout.tiles(seen.rows.len(), S::ROWS[panel.vectors - 1]) {
                let product = of_pixels((&patch[from..], layout, pixels), &taps[..count], (panel, b), no_floor);
                product.run(simd, Start::Zero, tile, panel.width);
                let columns = panel.first..panel.first + panel.columns;
                let place = Places { first: to, outputs: layout.outputs, width: grid.width };
                if *pooled {
                    let dy = (&*tile, panel.width, T::of(0.25));
                    norm.back::<S, 4>(simd, (columns, pixels, place), dy, (mode, T::zero()), (map, gradient, sums));
                } else {
                    let dy = (&*tile, panel.width, T::one());
                    norm.back::<S, 1>(simd, (columns, pixels, place), dy, (mode, T::zero()), (map, gradient, sums));
                }
            }
        }
    }
}

/// Parts that a weight gradient's sum over pixels is cut into; each has a copy of the weights to add to.
const SPLITS: usize = 8;

/// `gradient` of convolution weights, `[out][in][kernel][kernel]`, from the gradient of the output,
/// `[image][y][x][channel]`. The input is normalised and rectified again instead of having been kept.
pub fn weight_gradient<T: Dispatch>(input: &Input<'_, T>, window: Window, output_gradient: &[T], gradient: &mut [T]) {
    let (layout, grid) = (Layout::new(input, window), window.output(input.grid()));
    let rows = window.kernel * window.kernel * input.channels();
    let out = output_gradient.len() / grid.pixels();
    assert_eq!(output_gradient.len(), out * grid.pixels(), "output gradient of {grid:?}");
    assert_eq!(gradient.len(), out * rows, "gradient of {out} by {rows} weights");
    let bands = Bands::new(grid, layout.row());
    let lanes = T::lanes();
    let back = WeightBack { input, layout, bands, output_gradient, out, padded: out.next_multiple_of(lanes) };
    let splits = bands.len().min(SPLITS);
    let mut copies = vec![T::zero(); splits * rows * back.padded];
    copies.par_chunks_mut(rows * back.padded).enumerate().with_max_len(1).for_each(|(s, copy)| {
        let cut = |s: usize| s * bands.len() / splits;
        for index in cut(s)..cut(s + 1) {
            let band = bands.get(index);
            let start = if index == cut(s) { Start::Zero } else { Start::Output };
            let memory = layout.len(band.rows.len()) + bands.pixels(&band).len() * back.padded;
            T::scratch(memory, |memory| {
                T::dispatch(WeightBand { back: &back, band: &band, start, memory, copy });
            });
        }
    });
    let taps = window.kernel * window.kernel;
    gradient.par_chunks_mut(lanes * rows).enumerate().for_each(|(group, gradient)| {
        for k in 0..rows {
            let place = k % input.channels() * taps + k / input.channels();
            for (j, weight) in gradient.chunks_exact_mut(rows).enumerate() {
                let at = k * back.padded + group * lanes + j;
                weight[place] = copies.chunks_exact(rows * back.padded).map(|copy| copy[at]).sum();
            }
        }
    });
}

/// A weight gradient, before it is cut into splits.
struct WeightBack<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    bands: Bands,
    output_gradient: &'a [T],
    out: usize,
    padded: usize,
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
    let mut lines = [0; MOST_ROWS];
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

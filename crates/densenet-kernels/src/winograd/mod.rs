//! 3x3 convolution by Winograd's minimal filtering (Lavin and Gray, CVPR 2016, arXiv 1509.09308): a quarter or four
//! ninths of the multiplications of the plain sum.
//!
//! A band's input is cut into overlapping tiles, each tile transformed; at each of a tile's points, the tiles' channels
//! are multiplied by that point's weights, which is a product of matrices; the products are transformed back.

mod transform;

use std::marker::PhantomData;
use std::ops::Range;

use transform::{Four, MOST_INPUTS, MOST_OUTPUTS, Transform, Two};

use crate::Element;
use crate::bands::{Band, Bands};
use crate::conv::Epilogue;
use crate::isa::apart::{self, Rows};
use crate::isa::{Dispatch, Operation, Product, Simd, Start};
use crate::maps::Grid;
use crate::norm::Moments;
use crate::panels::Panels;
use crate::patch::{Input, Layout, Window};

/// What it computes: 3x3, stride 1, the output as large as the input.
pub const WINDOW: Window = Window { kernel: 3, stride: 1, padding: 1 };

/// Outputs of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 2x2: four ninths of the multiplications; no less exact than the plain sum.
    Two,
    /// 4x4: a quarter of the multiplications, of 2.3 times larger weights; its rounding errors are twice as large.
    Four,
}

/// The transformed weights of a 3x3 convolution.
#[derive(Clone, Debug)]
pub struct Filters<T> {
    tile: Tile,
    channels: usize,
    /// Rows are points, and channels within a point.
    panels: Panels<T>,
}

impl<T: Dispatch> Filters<T> {
    /// Transforms weights `[out][in][3][3]`.
    pub fn new(tile: Tile, weight: &[T], out: usize, channels: usize) -> Self {
        assert_eq!(weight.len(), out * channels * 9, "weights [{out}, {channels}, 3, 3]");
        let panels = match tile {
            Tile::Two => Self::at_points::<Two>(weight, out, channels),
            Tile::Four => Self::at_points::<Four>(weight, out, channels),
        };
        Self { tile, channels, panels }
    }

    fn at_points<A: Transform>(weight: &[T], out: usize, channels: usize) -> Panels<T> {
        let points = A::INPUTS * A::INPUTS;
        let mut at = vec![T::zero(); weight.len() / 9 * points];
        for (filter, at) in weight.chunks_exact(9).zip(at.chunks_exact_mut(points)) {
            let rows = [0, 3, 6].map(|r| A::filter([filter[r].f64(), filter[r + 1].f64(), filter[r + 2].f64()]));
            for j in 0..A::INPUTS {
                let column = A::filter(rows.map(|row| row[j]));
                (0..A::INPUTS).for_each(|i| at[i * A::INPUTS + j] = T::of(column[i]));
            }
        }
        Panels::new(points * channels, out, |k, j| at[(j * channels + k % channels) * points + k / channels])
    }

    /// Output channels.
    pub fn columns(&self) -> usize {
        self.panels.columns()
    }

    /// Input channels.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// `output[image][y][x][channel]` of a 3x3 convolution of stride 1 and padding 1.
///
/// # Panics
/// `filters` or `output` do not fit `input`.
pub fn forward<T: Dispatch>(input: &Input<'_, T>, filters: &Filters<T>, epilogue: &Epilogue<'_, T>, output: &mut [T]) {
    let (bands, forward) = Forward::new(input, filters, epilogue);
    bands.run((output, filters.columns()), (&mut [], 0), &|band, output, _| forward.run(&band, output));
}

/// [`forward`], and the batch statistics of what it makes.
pub fn forward_with_moments<T: Dispatch>(
    input: &Input<'_, T>,
    filters: &Filters<T>,
    epilogue: &Epilogue<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    let (bands, forward) = Forward::new(input, filters, epilogue);
    bands.run_with_moments((output, filters.columns()), &|band, output| forward.run(&band, output))
}

/// A convolution, before it is cut into bands.
struct Forward<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    filters: &'a Filters<T>,
    epilogue: &'a Epilogue<'a, T>,
    grid: Grid,
    /// Outputs of a tile along one axis.
    outputs: usize,
    /// Elements from a tile to the next at one point: in the transformed input, in the products.
    steps: (usize, usize),
}

impl<'a, T: Dispatch> Forward<'a, T> {
    fn new(input: &'a Input<'a, T>, filters: &'a Filters<T>, epilogue: &'a Epilogue<'a, T>) -> (Bands, Self) {
        assert_eq!(filters.channels, input.channels(), "channels of {:?}", input.grid());
        let (layout, grid) = (Layout::new(input, WINDOW), input.grid());
        let outputs = if filters.tile == Tile::Two { Two::OUTPUTS } else { Four::OUTPUTS };
        let steps =
            (filters.channels.next_multiple_of(T::lanes()) + GAP, filters.columns().next_multiple_of(T::lanes()));
        let this = Self { input, layout, filters, epilogue, grid, outputs, steps };
        let row = this.points() * this.across() * steps.0;
        (Bands::tiles(grid, row, outputs), this)
    }

    /// Points of a tile.
    fn points(&self) -> usize {
        (self.outputs + 2) * (self.outputs + 2)
    }

    /// Tiles in a row.
    fn across(&self) -> usize {
        self.grid.width.div_ceil(self.outputs)
    }

    /// Makes one band of the output.
    fn run(&self, band: &Band, output: &mut [T]) {
        let tiles = band.rows.len().div_ceil(self.outputs) * self.across();
        let patch = if self.reads_in_place() { 0 } else { self.layout.len(band.rows.len()) };
        let points = [tiles * self.steps.0 + GAP, tiles * self.steps.1 + GAP];
        let strip = (self.across() * self.outputs + 2) * (self.outputs + 2) * T::lanes();
        let len = self.filters.channels + patch + strip + self.points() * (points[0] + points[1]);
        T::scratch(len, |memory| {
            let (zeros, memory) = memory.split_at_mut(self.filters.channels);
            zeros.fill(T::zero());
            let (patch, memory) = memory.split_at_mut(patch);
            let (strip, memory) = memory.split_at_mut(strip);
            let (transformed, products) = memory.split_at_mut(self.points() * points[0]);
            let memory = Memory { zeros, patch, strip, transformed, products };
            match self.filters.tile {
                Tile::Two => T::dispatch(TileBand::<T, Two>(self, band, tiles, memory, output, PhantomData)),
                Tile::Four => T::dispatch(TileBand::<T, Four>(self, band, tiles, memory, output, PhantomData)),
            }
        });
        let first = (band.image * self.grid.height + band.rows.start) * self.grid.width;
        self.epilogue.finish(output, self.filters.columns(), self.grid, first);
    }

    /// Whether tiles are read where they are instead of from a patch.
    fn reads_in_place(&self) -> bool {
        matches!(self.input, Input::Raw(..))
    }
}

/// Elements between one tile and the next, and between one point and the next: keep what is read together out of the
/// same cache set.
const GAP: usize = 16;

/// Working memory of a band.
struct Memory<'a, T> {
    /// A pixel of zeros, for what lies outside.
    zeros: &'a [T],
    /// The packed input, if it is not read in place.
    patch: &'a mut [T],
    /// A row of tiles, transformed along y, for one vector of channels.
    strip: &'a mut [T],
    /// `[point][tile][input channel]`.
    transformed: &'a mut [T],
    /// `[point][tile][output channel]`.
    products: &'a mut [T],
}

/// One band of the output, its number of tiles, and where it is made.
struct TileBand<'a, T, A>(&'a Forward<'a, T>, &'a Band, usize, Memory<'a, T>, &'a mut [T], PhantomData<A>);

impl<T: Dispatch, A: Transform> Operation<T> for TileBand<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self(forward, band, tiles, memory, output, _) = self;
        let Memory { zeros, patch, strip, transformed, products } = memory;
        let source = match *forward.input {
            Input::Raw(data, grid, channels) => Source::image(data, grid, channels, band),
            _ => {
                forward.input.fill(simd, &forward.layout, band, patch);
                Source::patch(patch, &forward.layout)
            }
        };
        transform_tiles::<S, A>(simd, &source, (zeros, strip), (tiles, forward.across(), forward.steps.0), transformed);
        multiply::<S, A>(simd, forward, tiles, transformed, products);
        transform_back::<S, A>(simd, forward, (band, tiles), products, output);
    }
}

/// Pixels that tiles are read from.
struct Source<'a, T> {
    data: &'a [T],
    height: usize,
    width: usize,
    /// Elements from one pixel to the next.
    pixel: usize,
    /// Row and column of the first tile's first pixel.
    origin: (isize, isize),
}

impl<'a, T: Element> Source<'a, T> {
    /// The pixels of a band's image.
    fn image(data: &'a [T], grid: Grid, channels: usize, band: &Band) -> Self {
        let plane = grid.height * grid.width * channels;
        let data = &data[band.image * plane..][..plane];
        let Grid { height, width, .. } = grid;
        Self { data, height, width, pixel: channels, origin: (band.rows.start as isize - 1, -1) }
    }

    /// A packed band.
    fn patch(data: &'a [T], layout: &Layout) -> Self {
        let (width, pixel) = (layout.columns, layout.pixel);
        Self { data, height: data.len() / (width * pixel), width, pixel, origin: (0, 0) }
    }

    /// Columns of the image that lie in a row of tiles, counted from the tiles' first.
    fn columns(&self) -> Range<usize> {
        let first = (-self.origin.1) as usize;
        first..first + self.width
    }

    /// The first `count` rows, from row `y` of the tiles on, of the columns that lie in the image; `zeros` outside.
    #[inline(always)]
    fn rows(&self, y: usize, count: usize, zeros: &'a [T]) -> Rows<'a, T, MOST_INPUTS> {
        let mut rows = Rows::all(zeros, self.width);
        for i in 0..count {
            // A row before the first is a huge number.
            let y = (self.origin.0 + (y + i) as isize) as usize;
            if y < self.height {
                rows.set(i, &self.data[y * self.width * self.pixel..], self.pixel);
            }
        }
        rows
    }
}

/// Transforms all tiles, `across` in a row, into `[point][tile][channel]`, tiles `step` elements apart. `strip` holds one
/// vector of a row of tiles that is transformed along y only, `[column][point][lane]`.
#[inline(always)]
fn transform_tiles<S: Simd, A: Transform>(
    simd: S,
    source: &Source<'_, S::T>,
    (zeros, strip): (&[S::T], &mut [S::T]),
    (tiles, across, step): (usize, usize, usize),
    transformed: &mut [S::T],
) {
    let point = transformed.len() / (A::INPUTS * A::INPUTS);
    strip.fill(S::T::default());
    for first in (0..tiles).step_by(across) {
        let rows = source.rows(first / across * A::OUTPUTS, A::INPUTS, zeros);
        for start in (0..zeros.len()).step_by(S::LANES) {
            if start + S::LANES <= zeros.len() {
                transform_columns::<S, A, true>(simd, &rows, (source.columns(), start), strip);
            } else {
                transform_columns::<S, A, false>(simd, &rows, (source.columns(), start), strip);
            }
            transform_rows::<S, A>(simd, strip, &mut transformed[first * step + start..], (across, step, point));
        }
    }
}

/// Transforms one vector of channels, from `start` on, of all columns along y.
#[inline(always)]
fn transform_columns<S: Simd, A: Transform, const FULL: bool>(
    simd: S,
    rows: &Rows<'_, S::T, MOST_INPUTS>,
    (columns, start): (Range<usize>, usize),
    strip: &mut [S::T],
) {
    let column = A::INPUTS * S::LANES;
    let strip = &mut strip[columns.start * column..columns.end * column];
    for (x, to) in strip.chunks_exact_mut(column).enumerate() {
        let at = A::input(simd, rows.load::<S, FULL>(simd, A::INPUTS, x, start));
        apart::store(simd, &at[..A::INPUTS], to, S::LANES, S::LANES);
    }
}

/// Transforms one vector of channels of `across` tiles along x, into tiles `step` and points `point` elements apart.
#[inline(always)]
fn transform_rows<S: Simd, A: Transform>(
    simd: S,
    strip: &[S::T],
    transformed: &mut [S::T],
    (across, step, point): (usize, usize, usize),
) {
    let column = A::INPUTS * S::LANES;
    for tile in 0..across {
        let from = &strip[tile * A::OUTPUTS * column..][..A::INPUTS * column];
        for i in 0..A::INPUTS {
            let row = apart::load(simd, A::INPUTS, &from[i * S::LANES..], column);
            let at = A::input(simd, row);
            let to = &mut transformed[tile * step + i * A::INPUTS * point..];
            apart::store(simd, &at[..A::INPUTS], to, point, S::LANES);
        }
    }
}

/// Multiplies the tiles' channels by the filters, point by point.
#[inline(always)]
fn multiply<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    forward: &Forward<'_, S::T>,
    tiles: usize,
    transformed: &[S::T],
    products: &mut [S::T],
) {
    let points = A::INPUTS * A::INPUTS;
    let (from, to) = (transformed.len() / points, products.len() / points);
    let (depth, (step, c_row)) = (forward.filters.channels, forward.steps);
    for (panel, b) in forward.filters.panels.iter() {
        let parts = tiles.div_ceil(S::ROWS[panel.vectors - 1]);
        for p in 0..points {
            for part in 0..parts {
                let (first, behind) = (part * tiles / parts, (part + 1) * tiles / parts);
                let product = Product {
                    a: &transformed[p * from + first * step..],
                    row: step,
                    step: 1,
                    taps: &[0],
                    depth,
                    b: &b[p * depth * panel.width..][..depth * panel.width],
                    rows: behind - first,
                    vectors: panel.vectors,
                    columns: panel.columns,
                    floor: S::T::of(f64::NEG_INFINITY),
                };
                product.run(simd, Start::Zero, &mut products[p * to + first * c_row + panel.first..], c_row);
            }
        }
    }
}

/// Transforms all tiles' products to pixels of the output.
#[inline(always)]
fn transform_back<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    forward: &Forward<'_, S::T>,
    (band, tiles): (&Band, usize),
    products: &[S::T],
    output: &mut [S::T],
) {
    let (out, width) = (forward.filters.columns(), forward.grid.width);
    let point = products.len() / (A::INPUTS * A::INPUTS);
    let (epilogue, zero) = (forward.epilogue, simd.splat(S::T::default()));
    let floor = simd.splat(epilogue.floor());
    for tile in 0..tiles {
        let (y, x) = (tile / forward.across() * A::OUTPUTS, tile % forward.across() * A::OUTPUTS);
        let (rows, columns) = (A::OUTPUTS.min(band.rows.len() - y), A::OUTPUTS.min(width - x));
        for start in (0..out).step_by(S::LANES) {
            let lanes = S::LANES.min(out - start);
            let bias = match epilogue.bias {
                Some(bias) => simd.load(&bias[start..start + lanes]),
                None => zero,
            };
            let sums = output_tile::<S, A>(simd, &products[tile * forward.steps.1 + start..], point, (bias, floor));
            let to = &mut output[(y * width + x) * out + start..];
            if (rows, columns) == (A::OUTPUTS, A::OUTPUTS) {
                for (i, row) in sums[..A::OUTPUTS].iter().enumerate() {
                    for j in A::OUTPUTS..2 * A::OUTPUTS {
                        simd.prefetch(to.as_ptr().wrapping_add((i * width + j) * out));
                    }
                    apart::store(simd, &row[..A::OUTPUTS], &mut to[i * width * out..], out, lanes);
                }
            } else {
                for (i, row) in sums[..rows].iter().enumerate() {
                    apart::store(simd, &row[..columns], &mut to[i * width * out..], out, lanes);
                }
            }
        }
    }
}

/// The outputs of one tile for one vector of channels, from products `point` elements apart, with `bias` and not below
/// `floor`.
#[inline(always)]
fn output_tile<S: Simd, A: Transform>(
    simd: S,
    products: &[S::T],
    point: usize,
    (bias, floor): (S::V, S::V),
) -> [[S::V; MOST_OUTPUTS]; MOST_OUTPUTS] {
    let zero = simd.splat(S::T::default());
    let mut rows = [[zero; MOST_OUTPUTS]; MOST_INPUTS];
    for (i, row) in rows[..A::INPUTS].iter_mut().enumerate() {
        let at = apart::load(simd, A::INPUTS, &products[i * A::INPUTS * point..], point);
        *row = A::output(simd, at);
    }
    let mut sums = [[zero; MOST_OUTPUTS]; MOST_OUTPUTS];
    for j in 0..A::OUTPUTS {
        let mut column = [zero; MOST_INPUTS];
        for (value, row) in column[..A::INPUTS].iter_mut().zip(&rows) {
            *value = row[j];
        }
        for (row, &value) in sums.iter_mut().zip(&A::output(simd, column)[..A::OUTPUTS]) {
            row[j] = simd.max(floor, simd.add(value, bias));
        }
    }
    sums
}

//! The steps on which all passes rest: tiles to points, products at the points, points to pixels.

use std::ops::Range;

use super::transform::{Evaluate, MOST_INPUTS, MOST_OUTPUTS, Transform};
use crate::Element;
use crate::ahead::Ahead;
use crate::bands::{Band, Bands};
use crate::isa::apart::{self, Ring, Rows, ring_len};
use crate::isa::{Dispatch, Product, Simd, Start};
use crate::maps::{Grid, Maps};
use crate::panels::Panel;
use crate::patch::{Affine, Input};

/// How images are cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub grid: Grid,
    /// Pixels of a tile along one axis.
    pub outputs: usize,
}

impl Tiling {
    /// Points of a tile.
    pub fn points(&self) -> usize {
        (self.outputs + 2) * (self.outputs + 2)
    }

    /// Tiles in a row.
    pub fn across(&self) -> usize {
        self.grid.width.div_ceil(self.outputs)
    }

    /// Rows of tiles in an image.
    pub fn down(&self) -> usize {
        self.grid.height.div_ceil(self.outputs)
    }

    /// How the images are cut into bands, where a tile has `step` elements at a point.
    pub fn bands(&self, step: usize) -> Bands {
        Bands::tiles(self.grid, (self.across(), self.points() * self.across() * step), self.outputs)
    }

    /// Numbers of the rows of tiles of `band`, counted over all images.
    pub fn rows(&self, band: &Band) -> Range<usize> {
        let row = |y: usize| y / self.grid.height * self.down() + y % self.grid.height / self.outputs;
        let first = band.image * self.down();
        first + row(band.rows.start)..first + row(band.rows.end)
    }

    /// The image of row `row` of the tiles, and its first row of pixels there.
    pub fn place(&self, row: usize) -> (usize, usize) {
        (row / self.down(), row % self.down() * self.outputs)
    }

    /// Pixels of `rows` of tiles, counted over all images.
    pub fn pixels(&self, rows: &Range<usize>) -> Range<usize> {
        let Grid { height, width, .. } = self.grid;
        let pixel = |row: usize| {
            let (image, y) = self.place(row);
            (image * height + y) * width
        };
        pixel(rows.start)..pixel(rows.end)
    }
}

/// Elements between one tile and the next, and between one point and the next: keep what is read together out of the
/// same cache set.
pub(super) const GAP: usize = 16;

/// Elements from one tile to the next of `channels`, at a point.
pub(super) fn tile_step<T: Dispatch>(channels: usize) -> usize {
    channels.next_multiple_of(T::lanes()) + GAP
}

/// What tiles are read from: maps as they are, or the pre-activation of them.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub maps: Maps<'a, T>,
    affine: Option<Affine<'a, T>>,
}

impl<'a, T: Dispatch> Source<'a, T> {
    /// That of `input`.
    ///
    /// # Panics
    /// Pictures have too few channels and transitions another kernel; nothing evaluates them at points.
    pub fn new(input: &'a Input<'a, T>) -> Self {
        match input {
            Input::PreActivation(maps, affine) => Self { maps: *maps, affine: Some(*affine) },
            Input::Raw(data, grid, channels) => Self::raw(data, *grid, channels),
            Input::Pooled(..) | Input::Pictures(..) => panic!("{:?} cannot be cut into tiles", input.grid()),
        }
    }

    /// Pixels as they are.
    pub fn raw(data: &'a [T], grid: Grid, channels: &'a usize) -> Self {
        Self { maps: Maps::new(data, grid, std::slice::from_ref(channels)), affine: None }
    }
}

/// Working memory of [`evaluate_row`].
pub(super) struct Memory<'a, T> {
    /// A pixel of zeros, for what lies outside.
    zeros: &'a [T],
    /// Columns of pixels that are evaluated along y only.
    ring: &'a mut [T],
}

/// Runs `work` with memory to evaluate tiles of maps of at most `channels`, and arrays of `lengths` beside it.
pub(super) fn with_memory<T: Dispatch, const N: usize>(
    channels: usize,
    lengths: [usize; N],
    work: impl FnOnce(Memory<'_, T>, [&mut [T]; N]),
) {
    let ring = ring_len::<T>(MOST_INPUTS);
    T::scratch(ring + lengths.iter().sum::<usize>() + channels, |memory| {
        let (ring, mut memory) = memory.split_at_mut(ring);
        let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
        let zeros = memory;
        zeros.fill(T::zero());
        work(Memory { zeros, ring }, arrays);
    });
}

/// Evaluates all channels of a band's tiles: into `[point][tile][channel]`, tiles `step` elements apart.
#[inline(always)]
pub(super) fn evaluate_band<S: Simd<T: Dispatch>, E: Evaluate>(
    simd: S,
    (source, tiling, band): (&Source<'_, S::T>, &Tiling, &Band),
    memory: &mut Memory<'_, S::T>,
    (to, step): (&mut [S::T], usize),
) {
    let point = to.len() / (E::POINTS * E::POINTS);
    for (i, row) in tiling.rows(band).enumerate() {
        let to = (&mut to[i * tiling.across() * step..], step, point);
        evaluate_row::<S, E>(simd, (source, tiling, row), 0..source.maps.channels(), memory, to);
    }
}

/// Evaluates `channels` of row `row` of the tiles, counted over all images, at all points: into `[point][tile][channel]`,
/// tiles `step` and points `point` elements apart.
#[inline(always)]
pub(super) fn evaluate_row<S: Simd<T: Dispatch>, E: Evaluate>(
    simd: S,
    (source, tiling, row): (&Source<'_, S::T>, &Tiling, usize),
    channels: Range<usize>,
    memory: &mut Memory<'_, S::T>,
    (to, step, point): (&mut [S::T], usize, usize),
) {
    let Grid { height, width, .. } = tiling.grid;
    let (image, y) = tiling.place(row);
    let mut ring = Ring::new(memory.ring, E::POINTS);
    for (first, map_width, map) in source.maps.iter() {
        let (from, end) = (channels.start.max(first), channels.end.min(first + map_width));
        if from >= end {
            continue;
        }
        let map = &map[image * height * width * map_width..][..height * width * map_width];
        let mut rows: Rows<'_, S::T, MOST_INPUTS> = Rows::all(&memory.zeros[..map_width], width);
        for i in 0..E::TAKES {
            // A row before the first is a huge number.
            let y = (y + i).wrapping_sub(E::BEFORE);
            if y < height {
                rows.set(i, &map[y * width * map_width..], map_width);
            }
        }
        for start in (from..end).step_by(S::LANES) {
            let lanes = start - first..(start - first + S::LANES).min(map_width);
            let norm = match source.affine {
                Some(affine) => Some(row_norm(simd, affine.of(first, map_width), lanes.clone(), &rows)),
                None => None,
            };
            let to = (&mut to[start - channels.start..], step, point);
            evaluate_tiles::<S, E>(simd, (&rows, lanes, norm), &mut ring, tiling.across(), to);
        }
    }
}

/// Scale of one vector of channels, and its shift in each row of pixels.
type RowNorm<S> = (<S as Simd>::V, [<S as Simd>::V; MOST_INPUTS]);

/// Scale and shifts of one vector of channels of a row of tiles; what lies outside is zero, and stays so without a shift.
#[inline(always)]
fn row_norm<S: Simd>(
    simd: S,
    affine: Affine<'_, S::T>,
    lanes: Range<usize>,
    rows: &Rows<'_, S::T, MOST_INPUTS>,
) -> RowNorm<S> {
    let mut shifts = [simd.load(&affine.shift[lanes.clone()]); MOST_INPUTS];
    for (i, shift) in shifts.iter_mut().enumerate() {
        if rows.is_outside(i) {
            *shift = simd.splat(S::T::default());
        }
    }
    (simd.load(&affine.scale[lanes]), shifts)
}

/// Evaluates one vector of channels of `across` tiles: its new columns along y, then the tile along x, so that loads,
/// arithmetic and stores take turns.
#[inline(always)]
fn evaluate_tiles<S: Simd, E: Evaluate>(
    simd: S,
    (rows, lanes, norm): (&Rows<'_, S::T, MOST_INPUTS>, Range<usize>, Option<RowNorm<S>>),
    ring: &mut Ring<'_, S::T>,
    across: usize,
    (to, step, point): (&mut [S::T], usize, usize),
) {
    let mut evaluated = 0;
    for tile in 0..across {
        let first = tile * E::STEP;
        let new = evaluated..first + E::TAKES;
        evaluated = new.end;
        match (&norm, lanes.len() == S::LANES) {
            (None, true) => columns::<S, E, true>(simd, rows, lanes.start, new, ring),
            (None, false) => columns::<S, E, false>(simd, rows, lanes.start, new, ring),
            (Some(norm), true) => normalised_columns::<S, E, true>(simd, rows, lanes.start, norm, new, ring),
            (Some(norm), false) => normalised_columns::<S, E, false>(simd, rows, lanes.start, norm, new, ring),
        }
        for i in 0..E::POINTS {
            let at = E::evaluate(simd, ring.load(simd, E::TAKES, first, i));
            let to = &mut to[tile * step + i * E::POINTS * point..];
            apart::store(simd, &at[..E::POINTS], to, point, S::LANES);
        }
    }
}

/// Columns as they are.
#[inline(always)]
fn columns<S: Simd, E: Evaluate, const FULL: bool>(
    simd: S,
    rows: &Rows<'_, S::T, MOST_INPUTS>,
    start: usize,
    columns: Range<usize>,
    ring: &mut Ring<'_, S::T>,
) {
    for column in columns {
        // A column before the first is a huge number.
        let x = column.wrapping_sub(E::BEFORE);
        let at = match x < rows.pixels() {
            true => E::evaluate(simd, rows.load::<S, FULL>(simd, E::TAKES, x, start)),
            false => [simd.splat(S::T::default()); MOST_INPUTS],
        };
        ring.store(simd, column, &at[..E::POINTS]);
    }
}

/// Columns of `relu(scale * x + shift)`, zeros outside.
#[inline(always)]
fn normalised_columns<S: Simd, E: Evaluate, const FULL: bool>(
    simd: S,
    rows: &Rows<'_, S::T, MOST_INPUTS>,
    start: usize,
    &(scale, shifts): &RowNorm<S>,
    columns: Range<usize>,
    ring: &mut Ring<'_, S::T>,
) {
    let zero = simd.splat(S::T::default());
    for column in columns {
        let x = column.wrapping_sub(E::BEFORE);
        let mut at = [zero; MOST_INPUTS];
        if x < rows.pixels() {
            let mut values = rows.load::<S, FULL>(simd, E::TAKES, x, start);
            for (value, &shift) in values[..E::TAKES].iter_mut().zip(&shifts) {
                *value = simd.max(zero, simd.mul_add(*value, scale, shift));
            }
            at = E::evaluate(simd, values);
        }
        ring.store(simd, column, &at[..E::POINTS]);
    }
}

/// Multiplies `tiles` tiles, `[point][tile][channel]` and `step` elements apart, by a panel of filters, point by point, into
/// `[point][tile]`, tiles `width` and points `to` elements apart. Asks for what is `ahead`.
#[inline(always)]
pub(super) fn multiply<S: Simd<T: Dispatch>>(
    simd: S,
    (tiles, points, depth): (usize, usize, usize),
    (transformed, step): (&[S::T], usize),
    (panel, b): (Panel, &[S::T]),
    (products, width, to): (&mut [S::T], usize, usize),
    ahead: &mut Ahead<'_, '_, S::T>,
) {
    let from = transformed.len() / points;
    for p in 0..points {
        let product = Product {
            a: &transformed[p * from..],
            row: step,
            step: 1,
            taps: &[0],
            depth,
            b: &b[p * depth * panel.width..][..depth * panel.width],
            rows: tiles,
            vectors: panel.vectors,
            columns: panel.width,
            floor: S::T::of(f64::NEG_INFINITY),
            asks: false,
        };
        product.run(simd, Start::Zero, (&mut products[p * to..], width), ahead);
    }
}

/// Pixels that rows of tiles are turned back to, `columns` channels each, `step` elements apart.
pub(super) struct Target<'a, T> {
    pub pixels: &'a mut [T],
    /// Numbers of the rows of tiles, counted over all images.
    pub rows: Range<usize>,
    pub columns: usize,
    pub step: usize,
    /// One value a channel to be added.
    pub bias: Option<&'a [T]>,
    /// Whether negative values become zero.
    pub relu: bool,
}

/// Turns products, `[point][tile][channel]` and tiles `step` elements apart, to the target's pixels.
#[inline(always)]
pub(super) fn turn_back<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    tiling: &Tiling,
    (products, step): (&[S::T], usize),
    target: Target<'_, S::T>,
) {
    let Target { mut pixels, rows, columns, step: pixel, bias, relu } = target;
    let (point, width) = (products.len() / (A::INPUTS * A::INPUTS), tiling.grid.width);
    for (i, row) in rows.enumerate() {
        let height = A::OUTPUTS.min(tiling.grid.height - tiling.place(row).1);
        let (here, behind) = pixels.split_at_mut(height * width * pixel);
        pixels = behind;
        for tile in 0..tiling.across() {
            let (from, x) = ((i * tiling.across() + tile) * step, tile * A::OUTPUTS);
            let to = (&mut here[x * pixel..], width * pixel, pixel);
            let extents = (height, A::OUTPUTS.min(width - x));
            turn_tile_back::<S, A>(simd, (&products[from..], point), (columns, bias, relu), to, extents);
        }
    }
}

/// Turns the products of one tile, points `point` elements apart, to `columns` channels of its pixels that lie in the image,
/// rows `row` and pixels `pixel` elements apart.
#[inline(always)]
fn turn_tile_back<S: Simd<T: Dispatch>, A: Transform>(
    simd: S,
    (products, point): (&[S::T], usize),
    (columns, bias, relu): (usize, Option<&[S::T]>, bool),
    (to, row, pixel): (&mut [S::T], usize, usize),
    extents: (usize, usize),
) {
    for start in (0..columns).step_by(S::LANES) {
        let lanes = S::LANES.min(columns - start);
        let mut sums = output_tile::<S, A>(simd, &products[start..], point);
        if let Some(bias) = bias {
            let bias = simd.load(&bias[start..start + lanes]);
            for sum in sums.as_flattened_mut() {
                *sum = simd.add(*sum, bias);
            }
        }
        if relu {
            let zero = simd.splat(S::T::default());
            for sum in sums.as_flattened_mut() {
                *sum = simd.max(zero, *sum);
            }
        }
        let to = &mut to[start..];
        if extents == (A::OUTPUTS, A::OUTPUTS) {
            store_tile::<S, A>(simd, &sums, to, (row, pixel, lanes));
            continue;
        }
        for (i, sums) in sums[..extents.0].iter().enumerate() {
            apart::store(simd, &sums[..extents.1], &mut to[i * row..], pixel, lanes);
        }
    }
}

/// Stores `lanes` channels of a whole tile of pixels `pixel` and rows `row` elements apart, and asks for the next one's.
#[inline(always)]
fn store_tile<S: Simd, A: Transform>(
    simd: S,
    sums: &[[S::V; MOST_OUTPUTS]; MOST_OUTPUTS],
    to: &mut [S::T],
    (row, pixel, lanes): (usize, usize, usize),
) {
    for (i, sums) in sums[..A::OUTPUTS].iter().enumerate() {
        for j in A::OUTPUTS..2 * A::OUTPUTS {
            simd.prefetch(to.as_ptr().wrapping_add(i * row + j * pixel));
        }
        apart::store(simd, &sums[..A::OUTPUTS], &mut to[i * row..], pixel, lanes);
    }
}

/// The outputs of one tile for one vector of channels, from products `point` elements apart.
#[inline(always)]
fn output_tile<S: Simd, A: Transform>(
    simd: S,
    products: &[S::T],
    point: usize,
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
            row[j] = value;
        }
    }
    sums
}

//! The forward transform: from pixels to the points of tiles.

use std::ops::Range;

use super::points::PointsMut;
use super::tiling::Tiling;
use super::transform::{MAX_INPUTS, ToPoints};
use crate::memory::Scratch;
use crate::pack::Input;
use crate::parallel::RowBlock;
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid, Pooling};
use crate::simd::strided;
use crate::simd::tile_rows::{Ring, Rows, ring_len};
use crate::simd::{Dispatch, Simd};

/// The source of tiles: maps as they are, or their pre-activation.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub maps: FeatureMaps<'a, T>,
    affine: Option<Affine<'a, T>>,
}

impl<'a, T: Scalar> Source<'a, T> {
    /// The source of the tiles of `input`.
    ///
    /// # Panics
    /// If `input` consists of pictures, which have too few channels, or is pooled for a transition, which has another
    /// kernel.
    pub fn new(input: &'a Input<'a, T>) -> Self {
        match input {
            Input::PreActivation { maps, affine, pooling: Pooling::None } => {
                Self { maps: *maps, affine: Some(*affine) }
            }
            Input::Raw { data, grid, channels } => Self::raw(data, *grid, channels),
            _ => panic!("{:?} cannot be cut into tiles", input.grid()),
        }
    }

    /// Pixels as they are.
    pub fn raw(data: &'a [T], grid: Grid, channels: &'a usize) -> Self {
        Self { maps: FeatureMaps::new(data, grid, std::slice::from_ref(channels)), affine: None }
    }
}

/// Working memory of [`transform_row`].
pub(super) struct Memory<'a, T> {
    /// A pixel of zeros, for the area outside the image.
    zeros: &'a [T],
    /// Columns of pixels that are transformed along y only.
    ring: &'a mut [T],
}

/// Runs `work` with memory for transforming tiles of maps of at most `channels`, and arrays of `lengths` beside it.
pub(super) fn with_memory<T: Dispatch + Scratch, const N: usize>(
    channels: usize,
    lengths: [usize; N],
    work: impl FnOnce(Memory<'_, T>, [&mut [T]; N]),
) {
    let ring = ring_len::<T>(MAX_INPUTS);
    T::scratch(ring + lengths.iter().sum::<usize>() + channels, |memory| {
        let (ring, mut memory) = memory.split_at_mut(ring);
        let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
        let zeros = memory;
        zeros.fill(T::zero());
        work(Memory { zeros, ring }, arrays);
    });
}

/// Transforms all channels of a row block's tiles.
#[inline(always)]
pub(super) fn transform_block<S: Simd<T: Dispatch>, E: ToPoints>(
    simd: S,
    source: &Source<'_, S::T>,
    tiling: &Tiling,
    block: &RowBlock,
    memory: &mut Memory<'_, S::T>,
    mut to: PointsMut<'_, S::T>,
) {
    let row_of_tiles = tiling.across() * to.tile;
    for (i, row) in tiling.rows(block).enumerate() {
        let to = to.from(i * row_of_tiles);
        transform_row::<S, E>(simd, source, tiling, row, 0..source.maps.channels(), memory, to);
    }
}

/// Transforms `channels` of row `row` of the tiles, counted over all images.
#[inline(always)]
pub(super) fn transform_row<S: Simd<T: Dispatch>, E: ToPoints>(
    simd: S,
    source: &Source<'_, S::T>,
    tiling: &Tiling,
    row: usize,
    channels: Range<usize>,
    memory: &mut Memory<'_, S::T>,
    mut to: PointsMut<'_, S::T>,
) {
    let Grid { height, width, .. } = tiling.grid;
    let (image, y) = tiling.place(row);
    let mut ring = Ring::new(memory.ring, E::POINTS);
    for FeatureMap { first, channels: map_channels, data } in source.maps.iter() {
        let (from, end) = (channels.start.max(first), channels.end.min(first + map_channels));
        if from >= end {
            continue;
        }
        let data = &data[image * height * width * map_channels..][..height * width * map_channels];
        let mut rows: Rows<'_, S::T, MAX_INPUTS> = Rows::all(&memory.zeros[..map_channels], width);
        for i in 0..E::VALUES {
            // A row before the first wraps around to a huge number.
            let y = (y + i).wrapping_sub(E::PADDING);
            if y < height {
                rows.set(i, &data[y * width * map_channels..], map_channels);
            }
        }
        for start in (from..end).step_by(S::LANES) {
            let lanes = start - first..(start - first + S::LANES).min(map_channels);
            let norm = match source.affine {
                Some(affine) => {
                    Some(row_norm(simd, affine.channels(first..first + map_channels), lanes.clone(), &rows))
                }
                None => None,
            };
            let to = to.from(start - channels.start);
            transform_tiles::<S, E>(simd, &rows, lanes, norm, &mut ring, tiling.across(), to);
        }
    }
}

/// Batch-norm of one vector of channels of a row of tiles.
struct RowNorm<S: Simd> {
    scale: S::V,
    /// For each row of pixels.
    shifts: [S::V; MAX_INPUTS],
}

/// Scale and shifts of one vector of channels of a row of tiles; the area outside the image is zero, and stays zero
/// without a shift.
#[inline(always)]
fn row_norm<S: Simd>(
    simd: S,
    affine: Affine<'_, S::T>,
    lanes: Range<usize>,
    rows: &Rows<'_, S::T, MAX_INPUTS>,
) -> RowNorm<S> {
    let mut shifts = [simd.load(&affine.shift[lanes.clone()]); MAX_INPUTS];
    for (i, shift) in shifts.iter_mut().enumerate() {
        if rows.is_outside(i) {
            *shift = simd.splat(S::T::default());
        }
    }
    RowNorm { scale: simd.load(&affine.scale[lanes]), shifts }
}

/// Transforms one vector of channels of `across` tiles: its new columns along y, then the tile along x, so that loads,
/// arithmetic and stores alternate.
#[inline(always)]
fn transform_tiles<S: Simd, E: ToPoints>(
    simd: S,
    rows: &Rows<'_, S::T, MAX_INPUTS>,
    lanes: Range<usize>,
    norm: Option<RowNorm<S>>,
    ring: &mut Ring<'_, S::T>,
    across: usize,
    to: PointsMut<'_, S::T>,
) {
    let mut transformed = 0;
    for tile in 0..across {
        let first = tile * E::STRIDE;
        let new = transformed..first + E::VALUES;
        transformed = new.end;
        match (&norm, lanes.len() == S::LANES) {
            (None, true) => columns::<S, E, true>(simd, rows, lanes.start, new, ring),
            (None, false) => columns::<S, E, false>(simd, rows, lanes.start, new, ring),
            (Some(norm), true) => normalised_columns::<S, E, true>(simd, rows, lanes.start, norm, new, ring),
            (Some(norm), false) => normalised_columns::<S, E, false>(simd, rows, lanes.start, norm, new, ring),
        }
        for i in 0..E::POINTS {
            let at = E::transform(simd, ring.load(simd, E::VALUES, first, i));
            let to_row = &mut to.data[tile * to.tile + i * E::POINTS * to.point..];
            strided::store(simd, &at[..E::POINTS], to_row, to.point);
        }
    }
}

/// Transforms unmodified columns along y.
#[inline(always)]
fn columns<S: Simd, E: ToPoints, const FULL: bool>(
    simd: S,
    rows: &Rows<'_, S::T, MAX_INPUTS>,
    start: usize,
    columns: Range<usize>,
    ring: &mut Ring<'_, S::T>,
) {
    for column in columns {
        // A column before the first wraps around to a huge number.
        let x = column.wrapping_sub(E::PADDING);
        let at = match x < rows.pixels() {
            true => E::transform(simd, rows.load::<S, FULL>(simd, E::VALUES, x, start)),
            false => [simd.splat(S::T::default()); MAX_INPUTS],
        };
        ring.store(simd, column, &at[..E::POINTS]);
    }
}

/// Transforms columns of `relu(scale * x + shift)` along y, with zeros outside the image.
#[inline(always)]
fn normalised_columns<S: Simd, E: ToPoints, const FULL: bool>(
    simd: S,
    rows: &Rows<'_, S::T, MAX_INPUTS>,
    start: usize,
    &RowNorm { scale, shifts }: &RowNorm<S>,
    columns: Range<usize>,
    ring: &mut Ring<'_, S::T>,
) {
    let zero = simd.splat(S::T::default());
    for column in columns {
        let x = column.wrapping_sub(E::PADDING);
        let mut at = [zero; MAX_INPUTS];
        if x < rows.pixels() {
            let mut values = rows.load::<S, FULL>(simd, E::VALUES, x, start);
            for (value, &shift) in values[..E::VALUES].iter_mut().zip(&shifts) {
                *value = simd.max(zero, simd.mul_add(*value, scale, shift));
            }
            at = E::transform(simd, values);
        }
        ring.store(simd, column, &at[..E::POINTS]);
    }
}

//! Vectors that lie apart from each other, checked once for many: what Winograd's tiles are read from and written to.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::{Dispatch, Simd};
use crate::Element;
use crate::norm::Lanes;

/// Pixels between one that is read and one that is asked for meanwhile, from the second-level cache to the first.
const PIXELS_AHEAD: usize = 8;

/// Rows of equally many pixels and channels, wherever they lie.
pub(crate) struct Rows<'a, T, const N: usize> {
    /// First pixels, and the elements from one pixel to the next; all of a row's pixels are valid for `'a`.
    rows: [(*const T, usize); N],
    pixels: usize,
    channels: usize,
    data: PhantomData<&'a [T]>,
}

impl<'a, T: Element, const N: usize> Rows<'a, T, N> {
    /// `N` rows of `pixels` times the pixel `zeros`.
    #[inline(always)]
    pub fn all(zeros: &'a [T], pixels: usize) -> Self {
        Self { rows: [(zeros.as_ptr(), 0); N], pixels, channels: zeros.len(), data: PhantomData }
    }

    /// Makes row `i` the pixels of `row`, `step` elements apart.
    #[inline(always)]
    pub fn set(&mut self, i: usize, row: &'a [T], step: usize) {
        assert!((self.pixels - 1) * step + self.channels <= row.len(), "pixels behind the end of a row");
        self.rows[i] = (row.as_ptr(), step);
    }

    /// Pixels of each row.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Whether row `i` is nothing but zeros.
    pub fn is_outside(&self, i: usize) -> bool {
        self.rows[i].1 == 0
    }

    /// A vector of each row's pixel `x`, of its channels from `start` on; of the last ones, with zeros behind them, unless
    /// `FULL`. The first `count` rows count.
    #[inline(always)]
    pub fn load<S: Simd<T = T>, const FULL: bool>(&self, simd: S, count: usize, x: usize, start: usize) -> [S::V; N] {
        assert!(x < self.pixels && start + if FULL { S::LANES } else { 1 } <= self.channels, "not in the rows");
        let mut vectors = [simd.splat(T::zero()); N];
        for (vector, &(row, step)) in vectors[..count].iter_mut().zip(&self.rows) {
            // SAFETY: `all` and `set` saw that every row has `pixels` of `channels` elements; what is read ends there.
            unsafe {
                let from = row.add(x * step + start);
                simd.prefetch(from.wrapping_add(PIXELS_AHEAD * step));
                *vector = load_lanes::<S, FULL>(simd, from, self.channels - start);
            }
        }
        vectors
    }
}

/// Columns that a [`Ring`] holds: those of a tile and those that the next one adds.
const COLUMNS: usize = 8;

/// Elements of a ring whose columns have at most so many `points`.
pub(crate) fn ring_len<T: Dispatch>(points: usize) -> usize {
    COLUMNS * points * T::lanes()
}

/// The last few columns of vectors: a new one takes the place of the oldest.
pub(crate) struct Ring<'a, T> {
    memory: &'a mut [T],
    /// Vectors of a column.
    points: usize,
}

impl<'a, T: Element> Ring<'a, T> {
    /// A ring of columns of so many `points`, in memory of [`ring_len`].
    pub fn new(memory: &'a mut [T], points: usize) -> Self {
        Self { memory, points }
    }

    /// Vectors number `point` of `count` columns from `first` on.
    #[inline(always)]
    pub fn load<S: Simd<T = T>, const N: usize>(&self, simd: S, count: usize, first: usize, point: usize) -> [S::V; N] {
        assert!(point < self.points && COLUMNS * self.points * S::LANES <= self.memory.len(), "not in the ring");
        let mut vectors = [simd.splat(T::zero()); N];
        for (i, vector) in vectors[..count].iter_mut().enumerate() {
            let place = (first + i) % COLUMNS * self.points + point;
            // SAFETY: the ring has `COLUMNS` columns, and this is one of a column's points.
            *vector = unsafe { simd.load_unchecked(self.memory.as_ptr().add(place * S::LANES)) };
        }
        vectors
    }

    /// Makes `vectors` column number `column`.
    #[inline(always)]
    pub fn store<S: Simd<T = T>>(&mut self, simd: S, column: usize, vectors: &[S::V]) {
        assert_eq!(vectors.len(), self.points, "points of a column");
        let place = column % COLUMNS * self.points * S::LANES;
        store(simd, vectors, &mut self.memory[place..], S::LANES, S::LANES);
    }
}

/// `N` vectors, `step` elements apart.
#[inline(always)]
pub(crate) fn load<S: Simd, const N: usize>(simd: S, count: usize, from: &[S::T], step: usize) -> [S::V; N] {
    assert!(count >= 1 && count <= N && (count - 1) * step + S::LANES <= from.len(), "vectors behind the end");
    let mut vectors = [simd.splat(S::T::default()); N];
    for (i, vector) in vectors[..count].iter_mut().enumerate() {
        // SAFETY: the last of them ends inside `from`.
        *vector = unsafe { simd.load_unchecked(from.as_ptr().add(i * step)) };
    }
    vectors
}

/// The first `lanes` lanes of each of `vectors`, `step` elements apart.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, vectors: &[S::V], to: &mut [S::T], step: usize, lanes: usize) {
    if lanes < S::LANES {
        for (i, &vector) in vectors.iter().enumerate() {
            simd.store(vector, &mut to[i * step..][..lanes]);
        }
        return;
    }
    assert!(!vectors.is_empty() && (vectors.len() - 1) * step + S::LANES <= to.len(), "vectors behind the end");
    for (i, &vector) in vectors.iter().enumerate() {
        // SAFETY: the last of them ends inside `to`.
        unsafe { simd.store_unchecked(vector, to.as_mut_ptr().add(i * step)) };
    }
}

/// Elements that are asked for ahead of those that are read.
const AHEAD: usize = 512;

/// `max(0, scale * x + shift)` of `V` neighbouring vectors of each of `count` pixels of `from`, `steps.0` elements apart,
/// into pixels of `to`, `steps.1` apart. Returns how many channels that were.
#[inline(always)]
pub(crate) fn rectify<S: Simd, const V: usize>(
    simd: S,
    (scale, shift): (&[S::T], &[S::T]),
    (from, to): (&[S::T], &mut [S::T]),
    steps: (usize, usize),
    count: usize,
) -> usize {
    let reach = |step: usize| (count - 1) * step + V * S::LANES;
    assert!(count >= 1 && reach(steps.0) <= from.len() && reach(steps.1) <= to.len(), "vectors behind the end");
    let zero = simd.splat(S::T::default());
    let (scale, shift) = (load::<S, V>(simd, V, scale, S::LANES), load::<S, V>(simd, V, shift, S::LANES));
    for i in 0..count {
        for v in 0..V {
            // SAFETY: the last vector of the last pixel ends inside `from` and `to`.
            unsafe {
                let x = from.as_ptr().add(i * steps.0 + v * S::LANES);
                simd.prefetch(x.wrapping_add(AHEAD));
                let z = simd.mul_add(simd.load_unchecked(x), scale[v], shift[v]);
                simd.store_unchecked(simd.max(zero, z), to.as_mut_ptr().add(i * steps.1 + v * S::LANES));
            }
        }
    }
    V * S::LANES
}

/// [`rectify`] for the channels of `scale`, fewer than a vector's.
#[inline(always)]
pub(crate) fn rectify_lanes<S: Simd>(
    simd: S,
    (scale, shift): (&[S::T], &[S::T]),
    (from, to): (&[S::T], &mut [S::T]),
    steps: (usize, usize),
    count: usize,
) -> usize {
    let lanes = scale.len();
    let reach = |step: usize| (count - 1) * step + lanes;
    assert!(count >= 1 && (1..S::LANES).contains(&lanes), "not a part of a vector");
    assert!(reach(steps.0) <= from.len() && reach(steps.1) <= to.len(), "channels behind the end");
    let (zero, scale, shift) = (simd.splat(S::T::default()), simd.load(scale), simd.load(shift));
    for i in 0..count {
        // SAFETY: the last pixel's channels end inside `from` and `to`.
        unsafe {
            simd.prefetch(from.as_ptr().wrapping_add(i * steps.0 + AHEAD));
            let x = load_lanes::<S, false>(simd, from.as_ptr().add(i * steps.0), lanes);
            let z = simd.max(zero, simd.mul_add(x, scale, shift));
            simd.store(z, std::slice::from_raw_parts_mut(to.as_mut_ptr().add(i * steps.1), lanes));
        }
    }
    lanes
}

/// Asks for what [`back`] reads some pixels behind the starts of a map and its gradient.
#[inline(always)]
pub(crate) fn ask_ahead<S: Simd>(simd: S, map: &[S::T], gradient: &[S::T]) {
    simd.prefetch_l2(map.as_ptr().wrapping_add(AHEAD));
    simd.prefetch_l2(gradient.as_ptr().wrapping_add(AHEAD));
}

/// What [`back`] goes over, pixel by pixel.
pub(crate) struct Pixels<'a, T> {
    /// Gradient behind the ReLU, and the elements from one pixel to the next.
    pub dy: (&'a [T], usize),
    /// What the batch-norm read.
    pub x: &'a [T],
    /// Its gradient.
    pub gradient: &'a mut [T],
    /// Elements from one pixel to the next in `x` and `gradient`.
    pub step: usize,
    /// Pixels.
    pub count: usize,
    /// Channels of each pixel, a vector's or fewer.
    pub lanes: usize,
}

/// With `dz` the gradient `dy` where `scale * x + shift` is above `floor`, puts `gamma * dz` into the gradient, or adds it if
/// `add`, for one vector of channels of each pixel. Returns the sums of `dz` and `dz * (x - mean)`.
#[inline(always)]
pub(crate) fn back<S: Simd>(simd: S, norm: Lanes<S>, pixels: Pixels<'_, S::T>, add: bool) -> (S::V, S::V) {
    match (pixels.lanes == S::LANES, add) {
        (true, true) => back_lanes::<S, true, true>(simd, norm, pixels),
        (true, false) => back_lanes::<S, true, false>(simd, norm, pixels),
        (false, true) => back_lanes::<S, false, true>(simd, norm, pixels),
        (false, false) => back_lanes::<S, false, false>(simd, norm, pixels),
    }
}

/// Pixels whose gradient is loaded before one of them is stored. A part of a vector that was stored is not yet there to be
/// loaded for some cycles, and processors take all of the vector for stored: the next pixel's part, too.
const TOGETHER: usize = 7;

#[inline(always)]
fn back_lanes<S: Simd, const FULL: bool, const ADD: bool>(
    simd: S,
    norm: Lanes<S>,
    mut pixels: Pixels<'_, S::T>,
) -> (S::V, S::V) {
    let Pixels { dy: (dy, row), x, ref gradient, step, count, lanes, .. } = pixels;
    let reach = |step: usize| (count - 1) * step + if FULL { S::LANES } else { lanes };
    assert!(
        count >= 1 && (1..=S::LANES).contains(&lanes) && reach(row) <= dy.len(),
        "vectors behind the gradient's end"
    );
    assert!(reach(step) <= x.len() && reach(step) <= gradient.len(), "vectors behind the end of the map");
    let zero = simd.splat(S::T::default());
    let (mut sums, mut first) = ((zero, zero), 0);
    // SAFETY: the last pixel's lanes end inside all three.
    unsafe {
        while first + TOGETHER <= count {
            back_pixels::<S, FULL, ADD, TOGETHER>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
        while first + 2 <= count {
            back_pixels::<S, FULL, ADD, 2>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
        if first < count {
            back_pixels::<S, FULL, ADD, 1>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
    }
    sums
}

/// [`back`] for `N` pixels from `first` on, which moves behind them.
///
/// # Safety
/// All of `pixels` must hold pixels of `lanes` elements to that of number `first + N - 1`, of a whole vector if `FULL`.
#[inline(always)]
unsafe fn back_pixels<S: Simd, const FULL: bool, const ADD: bool, const N: usize>(
    simd: S,
    &Lanes { floor, scale, shift, mean, gamma }: &Lanes<S>,
    Pixels { dy: (dy, row), x, gradient, step, lanes, .. }: &mut Pixels<'_, S::T>,
    first: &mut usize,
    (sum, sum_deviation): &mut (S::V, S::V),
) {
    let zero = simd.splat(S::T::default());
    let mut there = [zero; N];
    // SAFETY: the caller's.
    unsafe {
        for (i, there) in there.iter_mut().enumerate().filter(|_| ADD) {
            *there = load_lanes::<S, FULL>(simd, gradient.as_ptr().add((*first + i) * *step), *lanes);
        }
        for (i, there) in there.into_iter().enumerate() {
            let (at, to) = (x.as_ptr().add((*first + i) * *step), gradient.as_mut_ptr().add((*first + i) * *step));
            simd.prefetch_l2(at.wrapping_add(AHEAD));
            simd.prefetch_l2(to.wrapping_add(AHEAD));
            let x = load_lanes::<S, FULL>(simd, at, *lanes);
            let dy = load_lanes::<S, FULL>(simd, dy.as_ptr().add((*first + i) * *row), *lanes);
            let dz = simd.select_gt(simd.mul_add(x, scale, shift), floor, dy, zero);
            *sum = simd.add(*sum, dz);
            *sum_deviation = simd.mul_add(dz, simd.sub(x, mean), *sum_deviation);
            let value = simd.mul_add(gamma, dz, there);
            match FULL {
                true => simd.store_unchecked(value, to),
                false => simd.store(value, std::slice::from_raw_parts_mut(to, *lanes)),
            }
        }
    }
    *first += N;
}

/// A vector, or the first `lanes` of one with zeros behind them, unless `FULL`.
///
/// # Safety
/// `from` must be valid for reads of `lanes` elements, of a whole vector if `FULL`.
#[inline(always)]
unsafe fn load_lanes<S: Simd, const FULL: bool>(simd: S, from: *const S::T, lanes: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        match FULL {
            true => simd.load_unchecked(from),
            false => simd.load(std::slice::from_raw_parts(from, lanes)),
        }
    }
}

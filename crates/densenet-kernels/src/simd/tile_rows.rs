//! Rows of feature maps as Winograd's tiles read them, and the columns of a tile during the transform.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::dispatch::Dispatch;
use super::strided::{load_lanes, store};
use super::vector::Simd;
use crate::scalar::Scalar;

/// Pixels from the one that is read to the one that is prefetched with it, from the second-level cache to the first.
const PREFETCH_DISTANCE: usize = 8;

/// Rows with the same number of pixels and channels, wherever they are.
pub(crate) struct Rows<'a, T, const N: usize> {
    /// The rows; all pixels of each are valid for `'a`.
    rows: [Row<T>; N],
    pixels: usize,
    channels: usize,
    data: PhantomData<&'a [T]>,
}

/// A row of pixels.
#[derive(Clone, Copy)]
struct Row<T> {
    /// The first pixel.
    from: *const T,
    /// Elements from one pixel to the next; 0 for a row outside the image, which is one pixel of zeros.
    ld: usize,
}

impl<'a, T: Scalar, const N: usize> Rows<'a, T, N> {
    /// `N` rows that repeat the pixel `zeros` `pixels` times.
    #[inline(always)]
    pub fn all(zeros: &'a [T], pixels: usize) -> Self {
        Self { rows: [Row { from: zeros.as_ptr(), ld: 0 }; N], pixels, channels: zeros.len(), data: PhantomData }
    }

    /// Sets row `i` to the pixels of `row`, `ld` elements from one to the next.
    #[inline(always)]
    pub fn set(&mut self, i: usize, row: &'a [T], ld: usize) {
        assert!((self.pixels - 1) * ld + self.channels <= row.len(), "pixels past the end of a row");
        self.rows[i] = Row { from: row.as_ptr(), ld };
    }

    /// Pixels of each row.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Whether row `i` is all zeros.
    pub fn is_outside(&self, i: usize) -> bool {
        self.rows[i].ld == 0
    }

    /// A vector of channels from `start` on of each row's pixel `x`; unless `FULL`, of the last channels, with zeros in the
    /// other lanes. Rows from number `count` on are left zero.
    #[inline(always)]
    pub fn load<S: Simd<T = T>, const FULL: bool>(&self, simd: S, count: usize, x: usize, start: usize) -> [S::V; N] {
        assert!(x < self.pixels && start + if FULL { S::LANES } else { 1 } <= self.channels, "not in the rows");
        let mut vectors = [simd.splat(T::zero()); N];
        for (vector, &Row { from, ld }) in vectors[..count].iter_mut().zip(&self.rows) {
            // SAFETY: `all` and `set` saw that every row has `pixels` of `channels` elements; what is read ends there.
            unsafe {
                let from = from.add(x * ld + start);
                simd.prefetch(from.wrapping_add(PREFETCH_DISTANCE * ld));
                *vector = load_lanes::<S, FULL>(simd, from, self.channels - start);
            }
        }
        vectors
    }
}

/// Columns that a [`Ring`] holds: those of a tile and those that the next one adds.
const COLUMNS: usize = 8;

/// Elements of a ring whose columns have at most this many `points`.
pub(crate) fn ring_len<T: Dispatch>(points: usize) -> usize {
    COLUMNS * points * T::lanes()
}

/// The last few columns of vectors: a new one replaces the oldest.
pub(crate) struct Ring<'a, T> {
    memory: &'a mut [T],
    /// Vectors of a column.
    points: usize,
}

impl<'a, T: Scalar> Ring<'a, T> {
    /// A ring of columns with `points` points, in memory of length [`ring_len`].
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

    /// Stores `vectors` as column number `column`.
    #[inline(always)]
    pub fn store<S: Simd<T = T>>(&mut self, simd: S, column: usize, vectors: &[S::V]) {
        assert_eq!(vectors.len(), self.points, "points of a column");
        let place = column % COLUMNS * self.points * S::LANES;
        store(simd, vectors, &mut self.memory[place..], S::LANES);
    }
}

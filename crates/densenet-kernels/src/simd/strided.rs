//! Strided views, and loads and stores of vectors at equal distances, checked once for many.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::vector::Simd;

/// A matrix for reading, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    /// Its elements, from the first row's first to at least the last row's last.
    pub data: &'a [T],
    /// Elements from one row to the next (leading dimension).
    pub ld: usize,
}

/// A matrix for writing, row by row, that can be cut between rows and between columns.
pub(crate) struct MatrixMut<'a, T> {
    /// The first element. Every row's columns are valid for reads and writes for `'a`, and belong to this matrix alone.
    data: *mut T,
    rows: usize,
    columns: usize,
    ld: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: a matrix is a `&mut` to each of its elements.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}

impl<'a, T> MatrixMut<'a, T> {
    /// As many rows of `columns` elements as `data` holds, `ld` elements from one to the next.
    ///
    /// # Panics
    /// If rows would overlap, or there are none.
    pub fn new(data: &'a mut [T], columns: usize, ld: usize) -> Self {
        assert!(columns >= 1 && columns <= ld && columns <= data.len(), "{columns} columns, leading dimension {ld}");
        let rows = (data.len() - columns) / ld + 1;
        Self { data: data.as_mut_ptr(), rows, columns, ld, lifetime: PhantomData }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from one row to the next (leading dimension).
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The same matrix for a shorter time.
    pub fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { lifetime: PhantomData, ..*self }
    }

    /// Row number `i` to the end of the matrix's columns.
    #[inline(always)]
    pub fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: the row's columns are this matrix's own.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(i * self.ld), self.columns) }
    }

    /// All elements of a matrix whose rows follow each other without gaps.
    ///
    /// # Panics
    /// If there are gaps.
    pub fn contiguous(&mut self) -> &mut [T] {
        assert!(self.rows <= 1 || self.ld == self.columns, "gaps between rows");
        // SAFETY: without gaps all elements between the first and the last are this matrix's own.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.rows * self.columns) }
    }

    /// The first element, through which the whole matrix may be written.
    #[inline(always)]
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.data
    }

    /// Pointer to the element of row `i` and column `j`, which need not be inside.
    #[inline(always)]
    pub fn address(&self, i: usize, j: usize) -> *const T {
        self.data.wrapping_add(i * self.ld + j)
    }

    /// Stores each of `vectors`, a vector's lanes or fewer, to `columns` of a row of its own, from row `first` on.
    #[inline(always)]
    pub fn store<S: Simd<T = T>>(&mut self, simd: S, first: usize, vectors: &[S::V], columns: Range<usize>) {
        assert!(first + vectors.len() <= self.rows && columns.end <= self.columns, "vectors outside the matrix");
        if columns.len() < S::LANES {
            for (i, &vector) in vectors.iter().enumerate() {
                simd.store(vector, &mut self.row(first + i)[columns.clone()]);
            }
            return;
        }
        for (i, &vector) in vectors.iter().enumerate() {
            // SAFETY: a vector's columns of each of these rows are this matrix's own.
            unsafe { simd.store_unchecked(vector, self.data.add((first + i) * self.ld + columns.start)) };
        }
    }

    /// The rows before row `at`, and the rest.
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows, "row {at} of {}", self.rows);
        // Without rows after it, the pointer may be outside, and is never dereferenced.
        let next = self.data.wrapping_add(at * self.ld);
        (Self { rows: at, ..self }, Self { data: next, rows: self.rows - at, ..self })
    }

    /// The columns before column `at`, and the rest.
    pub fn split_columns(self, at: usize) -> (Self, Self) {
        assert!(at <= self.columns, "column {at} of {}", self.columns);
        let next = self.data.wrapping_add(at);
        (Self { columns: at, ..self }, Self { data: next, columns: self.columns - at, ..self })
    }
}

/// Loads `count` vectors at a stride of `step` elements; the others are zero.
#[inline(always)]
pub(crate) fn load<S: Simd, const N: usize>(simd: S, count: usize, from: &[S::T], step: usize) -> [S::V; N] {
    assert!(count >= 1 && count <= N && (count - 1) * step + S::LANES <= from.len(), "vectors past the end");
    let mut vectors = [simd.splat(S::T::default()); N];
    for (i, vector) in vectors[..count].iter_mut().enumerate() {
        // SAFETY: the last of them ends inside `from`.
        *vector = unsafe { simd.load_unchecked(from.as_ptr().add(i * step)) };
    }
    vectors
}

/// Stores vectors at a stride of `step` elements.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, vectors: &[S::V], to: &mut [S::T], step: usize) {
    assert!(!vectors.is_empty() && (vectors.len() - 1) * step + S::LANES <= to.len(), "vectors past the end");
    for (i, &vector) in vectors.iter().enumerate() {
        // SAFETY: the last of them ends inside `to`.
        unsafe { simd.store_unchecked(vector, to.as_mut_ptr().add(i * step)) };
    }
}

/// A whole vector if `FULL`, else `lanes` elements and zeros in the other lanes.
///
/// # Safety
/// `from` must be valid for reads of `lanes` elements, of a whole vector if `FULL`.
#[inline(always)]
pub(super) unsafe fn load_lanes<S: Simd, const FULL: bool>(simd: S, from: *const S::T, lanes: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        match FULL {
            true => simd.load_unchecked(from),
            false => simd.load(std::slice::from_raw_parts(from, lanes)),
        }
    }
}

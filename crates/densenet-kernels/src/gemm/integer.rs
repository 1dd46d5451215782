//! The batch-reduce product of small integers, whose sums are requantised one micro-tile at a time.
#![allow(unsafe_code)]

use super::brgemm::{MAX_TILE_VECTORS, OfHeight, in_micro_tiles};
use crate::shapes::Affine;
use crate::simd::integer::{Integer, IntegerSimd};
use crate::simd::requantize::requantize;
use crate::simd::strided::{Matrix, MatrixMut};
use crate::simd::{Initial, MAX_LANES, MicroKernel, MicroTile, Prefetch};

/// `c[i][j] = requantize(sum over o, k of a[offsets[o] + i * lda + k] * b[o][k][j])` for `i` below `m`, and `j` below the channels of the
/// `affine` by which sums are [requantised](crate::simd::requantize).
pub(crate) struct IntegerGemm<'a, P: Integer> {
    /// Left operand: rows are pixels, and K is channels.
    pub a: &'a [P::Input],
    /// Distance between rows in `a`.
    pub lda: usize,
    /// Where in `a` each part of the batch begins.
    pub offsets: &'a [usize],
    /// Steps along K of each part, a multiple of [`crate::scalar::Precision::K_GROUP`].
    pub k: usize,
    /// Right operand, `[offset][K / K_GROUP][vectors * lanes][K_GROUP]`.
    pub b: &'a [P::Weight],
    /// Rows of the output.
    pub m: usize,
    /// Width of the panel `b` in vectors, 1 to 3.
    pub vectors: usize,
    /// From sums to the output: a scale and a shift for each of the output's columns.
    pub affine: Affine<'a, f32>,
}

impl<P: Integer> IntegerGemm<'_, P> {
    /// Computes into `c`.
    ///
    /// # Panics
    /// If an operand is too short.
    #[inline(always)]
    pub fn run<S: IntegerSimd + MicroKernel<P>>(&self, simd: S, c: MatrixMut<'_, u8>) {
        self.check::<S>(&c);
        match self.vectors {
            1 => in_micro_tiles::<S, 1>(simd, self.m, &mut Rows::<P, 1> { gemm: self, c }),
            2 => in_micro_tiles::<S, 2>(simd, self.m, &mut Rows::<P, 2> { gemm: self, c }),
            _ => in_micro_tiles::<S, 3>(simd, self.m, &mut Rows::<P, 3> { gemm: self, c }),
        }
    }

    /// Checks that every access of the micro-kernel is within its operands.
    #[inline(always)]
    fn check<S: IntegerSimd>(&self, c: &MatrixMut<'_, u8>) {
        let (width, n) = (self.vectors * S::LANES, self.affine.scale.len());
        assert!((1..=3).contains(&self.vectors) && n <= width, "{n} columns in {} vectors", self.vectors);
        assert!(self.m >= 1 && self.k >= 1 && !self.offsets.is_empty(), "a product without rows or without K");
        assert_eq!(self.k % P::K_GROUP, 0, "K in whole groups");
        let reach = (self.m - 1) * self.lda + self.k - 1;
        assert!(self.offsets.iter().all(|&offset| offset + reach < self.a.len()), "left operand is too short");
        assert!(self.offsets.len() * self.k * width <= self.b.len(), "right operand is too short");
        assert!(self.m <= c.rows() && n <= c.columns(), "output is too small");
    }
}

/// A product whose operands were checked, as micro-tiles of `V` vectors.
struct Rows<'a, 'b, P: Integer, const V: usize> {
    gemm: &'a IntegerGemm<'a, P>,
    c: MatrixMut<'b, u8>,
}

/// Memory of a micro-tile, aligned to a cache line.
#[repr(align(64))]
struct TileMemory([i32; MAX_TILE_VECTORS * MAX_LANES]);

impl<S: IntegerSimd + MicroKernel<P>, P: Integer, const V: usize> OfHeight<S> for Rows<'_, '_, P, V> {
    #[inline(always)]
    fn run<const M: usize>(&mut self, simd: S, first: usize, tiles: usize) {
        let Self { gemm, c } = self;
        let (mut sums, width) = (TileMemory([0; MAX_TILE_VECTORS * MAX_LANES]), V * S::LANES);
        for first in (first..).step_by(M).take(tiles) {
            let sums = &mut sums.0[..M * width];
            let tile = MicroTile {
                a: gemm.a[first * gemm.lda..].as_ptr(),
                lda: gemm.lda,
                k_stride: P::K_GROUP,
                offsets: gemm.offsets,
                k_groups: gemm.k / P::K_GROUP,
                b: gemm.b.as_ptr(),
                initial: Initial { from: std::ptr::null(), ld: 0 },
                c: sums.as_mut_ptr(),
                ldc: width,
                lower_clamp: i32::MIN,
                prefetch: Prefetch::nothing(gemm.b),
            };
            // SAFETY: `check` saw that every offset plus the reach of all rows and of K lies inside `a`, and that `b` has all
            // of K of all offsets in rows of `V` vectors; `sums` has `M` rows of as many.
            unsafe { MicroKernel::<P>::micro_kernel::<M, V>(simd, &tile) };
            let (_, rows) = c.reborrow().split_rows(first);
            let (rows, _) = rows.split_rows(M);
            requantize(simd, gemm.affine, Matrix { data: &*sums, ld: width }, rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::heights;
    use crate::simd::integer::{Bytes, IntegerOperation, Words};
    use crate::simd::{Isa, dispatch_integers};

    /// Every number of rows and vectors, with tails, against plain sums.
    struct AgainstPlainSums;

    impl IntegerOperation for AgainstPlainSums {
        type Output = ();

        #[inline(always)]
        fn run<S: IntegerSimd>(self, simd: S) {
            for vectors in 1..=3 {
                for m in heights(S::ROWS[vectors - 1]) {
                    for n in [1, S::LANES * vectors - 1, S::LANES * vectors] {
                        check::<S, Bytes>(simd, m, vectors, n);
                        check::<S, Words>(simd, m, vectors, n);
                    }
                }
            }
        }
    }

    /// Bytes over their whole range, including the extremes.
    fn byte(i: usize, seed: usize) -> u8 {
        match i % 7 {
            0 => 255,
            1 => 128,
            _ => ((i * 7919 + seed * 104_729) % 1009) as u8,
        }
    }

    fn check<S: IntegerSimd + MicroKernel<P>, P: Integer>(simd: S, m: usize, vectors: usize, n: usize) {
        let (offsets, k, lda, ldc) = ([8, 0, 40], 12, 16, n + 2);
        let width = vectors * S::LANES;
        let x: Vec<u8> = (0..40 + m * lda).map(|i| byte(i, 1)).collect();
        let w: Vec<i8> = (0..offsets.len() * k * width).map(|i| byte(i, 2) as i8).collect();
        let a: Vec<P::Input> = x.iter().map(|&x| P::input(x)).collect();
        let b: Vec<P::Weight> = w.iter().map(|&w| P::weight(w)).collect();
        let scale: Vec<f32> = (0..n).map(|j| 1e-3 * (1.0 + j as f32) / (1.0 + n as f32)).collect();
        let shift: Vec<f32> = (0..n).map(|j| 100.0 - 3.0 * j as f32).collect();
        let mut c = vec![77; m * ldc];
        let affine = Affine { scale: &scale, shift: &shift };
        let gemm = IntegerGemm::<P> { a: &a, lda, offsets: &offsets, k, b: &b, m, vectors, affine };
        gemm.run(simd, MatrixMut::new(&mut c, n, ldc));
        for (i, &got) in c.iter().enumerate() {
            let (y, j) = (i / ldc, i % ldc);
            if j >= n {
                assert_eq!(got, 77, "element {i} lies outside the product");
                continue;
            }
            let mut sum = 0;
            for (o, offset) in offsets.iter().enumerate() {
                for at in 0..k {
                    let place = ((o * k / P::K_GROUP + at / P::K_GROUP) * width + j) * P::K_GROUP + at % P::K_GROUP;
                    sum += i32::from(x[offset + y * lda + at]) * i32::from(w[place]);
                }
            }
            let expected = (sum as f32 * scale[j] + shift[j]).clamp(0.0, 255.0).round_ties_even() as u8;
            assert_eq!(got, expected, "row {y} column {j} of {m} by {n}, groups of {}", P::K_GROUP);
        }
    }

    #[test]
    fn products_are_plain_sums_on_every_instruction_set() {
        for isa in Isa::available() {
            isa.thread_pool(1).unwrap().install(|| dispatch_integers(AgainstPlainSums));
        }
    }
}

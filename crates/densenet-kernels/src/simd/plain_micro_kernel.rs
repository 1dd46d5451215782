//! The micro-kernel in plain code, for instruction sets whose compiler output keeps all sums in registers.
#![allow(unsafe_code)]

use super::Simd;
use super::micro_kernel::{Initial, MicroTile};
use crate::scalar::Scalar;

/// [`super::micro_kernel::MicroKernel::micro_kernel`].
///
/// # Safety
/// That of [`super::micro_kernel::MicroKernel::micro_kernel`].
#[inline(always)]
pub(super) unsafe fn micro_kernel<S: Simd, const M: usize, const V: usize>(simd: S, tile: &MicroTile<'_, S::T>) {
    let &MicroTile { a, lda, k_stride, offsets, k_groups, mut b, initial, c, ldc, lower_clamp, prefetch } = tile;
    let Initial { from: initial, ld: initial_ld } = initial;
    let mut sums = [[simd.splat(S::T::of(0.0)); V]; M];
    let mut line = prefetch.from;
    for &offset in offsets {
        for k in 0..k_groups {
            simd.prefetch(line);
            line = line.wrapping_add(prefetch.stride);
            // SAFETY: the caller vouches that all of it lies inside the operands.
            unsafe {
                let a = a.add(offset + k * k_stride);
                let mut columns = [simd.splat(S::T::of(0.0)); V];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = simd.load_unchecked(b.add(v * S::LANES));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat(*a.add(i * lda));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = simd.mul_add(value, column, *sum);
                    }
                }
                b = b.add(V * S::LANES);
            }
        }
    }
    let lower_clamp = simd.splat(lower_clamp);
    for (i, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for `M` rows of `V` vectors.
            unsafe {
                let sum = match initial.is_null() {
                    true => sum,
                    false => simd.add(sum, simd.load_unchecked(initial.add(i * initial_ld + v * S::LANES))),
                };
                simd.store_unchecked(simd.max(lower_clamp, sum), c.add(i * ldc + v * S::LANES));
            }
        }
    }
}

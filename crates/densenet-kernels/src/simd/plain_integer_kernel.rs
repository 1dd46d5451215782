//! The integer micro-kernel in plain code, one sum after the other.
#![allow(unsafe_code)]

use super::micro_kernel::MicroTile;
use crate::scalar::Precision;

/// [`super::micro_kernel::MicroKernel::micro_kernel`] for vectors of `lanes` lanes, with neither initial values nor a
/// lower clamp.
///
/// # Safety
/// That of [`super::micro_kernel::MicroKernel::micro_kernel`].
#[inline(always)]
pub(super) unsafe fn micro_kernel<P, const M: usize, const V: usize>(lanes: usize, tile: &MicroTile<'_, P>)
where
    P: Precision<Input: Into<i32>, Weight: Into<i32>, Accumulator = i32>,
{
    let &MicroTile { a, lda, k_stride, offsets, k_groups, b, c, ldc, .. } = tile;
    for (i, j) in (0..M).flat_map(|i| (0..V * lanes).map(move |j| (i, j))) {
        let (mut sum, mut group) = (0, 0);
        for &offset in offsets {
            for k in 0..k_groups {
                for g in 0..P::K_GROUP {
                    // SAFETY: the caller vouches that all of it lies inside the operands.
                    let (x, w) = unsafe {
                        (*a.add(offset + i * lda + k * k_stride + g), *b.add((group * V * lanes + j) * P::K_GROUP + g))
                    };
                    sum += x.into() * w.into();
                }
                group += 1;
            }
        }
        // SAFETY: the caller vouches for `M` rows of `V` vectors.
        unsafe { *c.add(i * ldc + j) = sum };
    }
}

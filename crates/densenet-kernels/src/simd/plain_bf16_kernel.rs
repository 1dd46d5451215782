//! The bfloat16 micro-kernel in plain code, one sum after the other.
#![allow(unsafe_code)]

use half::bf16;

use super::micro_kernel::MicroTile;
use crate::scalar::{Bf16, Precision, Scalar};

/// [`super::micro_kernel::MicroKernel::micro_kernel`] for vectors of `lanes` lanes.
///
/// # Safety
/// That of [`super::micro_kernel::MicroKernel::micro_kernel`].
#[inline(always)]
pub(super) unsafe fn micro_kernel<T: Scalar, const M: usize, const V: usize>(
    lanes: usize,
    tile: &MicroTile<'_, Bf16<T>>,
) {
    let group = <Bf16<T> as Precision>::K_GROUP;
    let &MicroTile { a, lda, k_stride, offsets, k_groups, b, initial, c, ldc, lower_clamp, .. } = tile;
    let value = |factor: bf16| T::of(factor.to_f64());
    for (i, j) in (0..M).flat_map(|i| (0..V * lanes).map(move |j| (i, j))) {
        let mut sum = T::zero();
        let places = offsets.iter().flat_map(|offset| (0..k_groups).map(move |k| offset + k * k_stride));
        for (at, place) in places.enumerate() {
            for g in 0..group {
                // SAFETY: the caller vouches that all of it lies inside the operands.
                let (x, w) = unsafe { (*a.add(place + i * lda + g), *b.add((at * V * lanes + j) * group + g)) };
                sum += value(x) * value(w);
            }
        }
        // SAFETY: the caller vouches for `M` rows of `V` vectors.
        unsafe {
            if !initial.from.is_null() {
                sum += *initial.from.add(i * initial.ld + j);
            }
            // NaN stays NaN.
            *c.add(i * ldc + j) = if sum < lower_clamp { lower_clamp } else { sum };
        }
    }
}

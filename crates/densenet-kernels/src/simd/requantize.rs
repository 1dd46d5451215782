//! From one 8-bit scale to another: `round(scale * x + shift)` from 0 to 255, checked once for many.
//!
//! When a convolution's input is packed, this is a batch-norm and its ReLU (the bound at 0); when its sums are stored,
//! it is batch-norm, bias and ReLU. The product and the sum are rounded separately, so that every instruction set gives
//! the same bits.
#![allow(unsafe_code)]

use super::integer::{IntegerSimd, Source, Target};
use super::strided::{Matrix, MatrixMut};
use crate::shapes::Affine;

/// The largest 8-bit integer.
pub(crate) const MOST: f32 = 255.0;

/// `scale * x + shift`, from 0 to 255.
#[inline(always)]
fn bounded<S: IntegerSimd>(simd: S, x: S::V, scale: S::V, shift: S::V) -> S::V {
    let z = simd.add(simd.mul(x, scale), shift);
    simd.min(simd.splat(MOST), simd.max(simd.splat(0.0), z))
}

/// Requantises the channels of `affine` for as many pixels of `x` as `to` has rows.
#[inline(always)]
pub(crate) fn requantize<S: IntegerSimd, F: Source, T: Target>(
    simd: S,
    affine: Affine<'_, f32>,
    x: Matrix<'_, F>,
    mut to: MatrixMut<'_, T>,
) {
    let channels = affine.scale.len();
    let mut start = 0;
    while start < channels {
        let affine = affine.channels(start..channels);
        let x = Matrix { data: &x.data[start..], ..x };
        let (_, to) = to.reborrow().split_columns(start);
        start += match (channels - start) / S::LANES {
            0 => vectors::<S, F, T, 1, false>(simd, affine, x, to),
            1 => vectors::<S, F, T, 1, true>(simd, affine, x, to),
            2 | 3 => vectors::<S, F, T, 2, true>(simd, affine, x, to),
            _ => vectors::<S, F, T, 4, true>(simd, affine, x, to),
        };
    }
}

/// Requantises `V` vectors of channels if `FULL`, else one that is not whole. Returns the number of channels.
#[inline(always)]
fn vectors<S: IntegerSimd, F: Source, T: Target, const V: usize, const FULL: bool>(
    simd: S,
    affine: Affine<'_, f32>,
    x: Matrix<'_, F>,
    mut to: MatrixMut<'_, T>,
) -> usize {
    let lanes = if FULL { S::LANES } else { affine.scale.len() };
    let (pixels, channels) = (to.rows(), V * lanes);
    assert!(channels <= affine.scale.len() && channels <= affine.shift.len(), "{channels} channels of a scale");
    assert!(pixels >= 1 && channels <= to.columns(), "{channels} of {} channels", to.columns());
    assert!((pixels - 1) * x.ld + channels <= x.data.len(), "{pixels} pixels past the end");
    let of = |values: &[f32], v: usize| simd.load(&values[v * lanes..][..lanes]);
    let mut scale = [simd.splat(0.0); V];
    let mut shift = scale;
    for v in 0..V {
        (scale[v], shift[v]) = (of(affine.scale, v), of(affine.shift, v));
    }
    let (to, ld) = (to.as_mut_ptr(), to.ld());
    for i in 0..pixels {
        for v in 0..V {
            // SAFETY: the last vector of the last pixel ends inside `x` and `to`.
            unsafe {
                let x = F::load(simd, x.data.as_ptr().add(i * x.ld + v * lanes), lanes);
                T::store(simd, bounded(simd, x, scale[v], shift[v]), to.add(i * ld + v * lanes), lanes);
            }
        }
    }
    channels
}

/// Requantises a row of one channel, which has a single `scale` and `shift`.
#[inline(always)]
pub(crate) fn requantize_channel<S: IntegerSimd, T: Target>(simd: S, scale: f32, shift: f32, x: &[f32], to: &mut [T]) {
    assert_eq!(x.len(), to.len(), "room for a row");
    let (scale, shift) = (simd.splat(scale), simd.splat(shift));
    for start in (0..x.len()).step_by(S::LANES) {
        let lanes = S::LANES.min(x.len() - start);
        // SAFETY: so many elements are left of both.
        unsafe {
            let x = f32::load(simd, x.as_ptr().add(start), lanes);
            T::store(simd, bounded(simd, x, scale, shift), to.as_mut_ptr().add(start), lanes);
        }
    }
}

/// Requantises two rows of pixels, averaged two by two: a pixel for each row of `to`.
#[inline(always)]
pub(crate) fn requantize_pooled<S: IntegerSimd, T: Target>(
    simd: S,
    affine: Affine<'_, f32>,
    rows: &[u8],
    mut to: MatrixMut<'_, T>,
) {
    let channels = affine.scale.len();
    let (row, outputs) = (rows.len() / 2, to.rows());
    assert!(2 * outputs * channels <= row && channels <= to.columns(), "{outputs} pixels of two rows");
    let (to, ld) = (to.as_mut_ptr(), to.ld());
    let (zero, quarter, most) = (simd.splat(0.0), simd.splat(0.25), simd.splat(MOST));
    for start in (0..channels).step_by(S::LANES) {
        let lanes = S::LANES.min(channels - start);
        let affine = affine.channels(start..start + lanes);
        let (scale, shift) = (simd.load(affine.scale), simd.load(affine.shift));
        for i in 0..outputs {
            let first = 2 * i * channels + start;
            let mut sum = zero;
            for place in [first, first + channels, row + first, row + first + channels] {
                // SAFETY: two pixels of each row lie in `rows`.
                let x = unsafe { u8::load(simd, rows.as_ptr().add(place), lanes) };
                sum = simd.add(sum, simd.max(zero, simd.add(simd.mul(x, scale), shift)));
            }
            // SAFETY: `to` has as many rows, and a row as many channels.
            unsafe { T::store(simd, simd.min(most, simd.mul(sum, quarter)), to.add(i * ld + start), lanes) };
        }
    }
}

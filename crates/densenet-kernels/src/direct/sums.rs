//! Inputs of sums over pixels, and the destination of the sums.

use rayon::prelude::*;

use crate::gemm::{Panel, panels};
use crate::simd::strided::Matrix;
use crate::simd::{Dispatch, Simd};

/// Packs `pixels`, one per row, of `n` channels into panels, `[panel][pixel][width]`, with zeros past the last channel.
#[inline(always)]
pub(super) fn pack_panels<S: Simd>(simd: S, pixels: Matrix<'_, S::T>, n: usize, mut packed: &mut [S::T]) {
    let count = pixels.data.len().div_ceil(pixels.ld);
    for Panel { first, n, width, .. } in panels(n, S::LANES) {
        let (panel, next) = packed.split_at_mut(count * width);
        packed = next;
        for (from, to) in pixels.data.chunks(pixels.ld).zip(panel.chunks_exact_mut(width)) {
            let from = &from[first..first + n];
            for start in (0..width).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(n);
                simd.store(simd.load(&from[lanes]), &mut to[start..start + S::LANES]);
            }
        }
    }
}

/// Writes sums, `[offset][channel][out]`, one row for each offset and channel, to their places in `dw`,
/// `[out][channel][offset]`.
pub(super) fn transpose<T: Dispatch>(sums: Matrix<'_, T>, channels: usize, offsets: usize, dw: &mut [T]) {
    let rows = channels * offsets;
    dw.par_chunks_mut(T::lanes() * rows).enumerate().for_each(|(group, dw)| {
        for (row, sums) in sums.data[group * T::lanes()..].chunks(sums.ld).enumerate() {
            let place = row % channels * offsets + row / channels;
            for (weights, &sum) in dw.chunks_exact_mut(rows).zip(sums) {
                weights[place] = sum;
            }
        }
    });
}

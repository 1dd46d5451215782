//! Products of channels summed over pixels: what the gradients of weights consist of.

use super::brgemm::{Beta, Brgemm};
use super::prefetch::PrefetchStream;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::strided::MatrixMut;

/// Where pixels are: lines of `len` pixels that begin at `starts`, `stride` elements from one pixel to the next.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub starts: &'a [usize],
    pub stride: usize,
    pub len: usize,
}

/// Products of neighbouring channels of `a` with each column of a panel, summed over pixels.
pub(crate) struct OuterProducts<'a, T> {
    /// The first channel of all pixels.
    pub a: &'a [T],
    /// Where its pixels are.
    pub pixels: Lines<'a>,
    /// The panel: a row of `vectors` vectors for every pixel.
    pub b: &'a [T],
    /// Vectors of the panel.
    pub vectors: usize,
}

impl<T: Scalar> OuterProducts<'_, T> {
    /// Computes `sums`, `[channel][column]` with the panel's columns, a row for each channel.
    #[inline(always)]
    pub fn run<S: Simd<T = T>>(
        &self,
        simd: S,
        beta: Beta<'_, T>,
        sums: MatrixMut<'_, T>,
        stream: &mut PrefetchStream<'_, '_, T>,
    ) {
        let gemm = Brgemm::<T> {
            a: self.a,
            lda: 1,
            k_stride: self.pixels.stride,
            offsets: self.pixels.starts,
            k: self.pixels.len,
            b: self.b,
            m: sums.rows(),
            vectors: self.vectors,
            n: self.vectors * S::LANES,
            lower_clamp: T::neg_infinity(),
            prefetch_c: false,
        };
        gemm.run(simd, beta, sums, stream);
    }
}

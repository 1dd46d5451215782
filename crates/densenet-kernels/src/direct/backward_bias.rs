//! The gradient of a convolution's bias.

use rayon::prelude::*;

use crate::instantiate::instantiate;
use crate::scalar::Scalar;
use crate::simd::{Dispatch, Operation, Simd};

/// Pixels per piece of work.
const PIECE: usize = 512;

instantiate! {
    /// The gradient `db` of a bias: the output's gradient `dy`, `[pixel][channel]`, summed over the pixels.
    pub fn backward_bias<T>(dy: &[T], channels: usize) -> Vec<T> {
        let mut slots = vec![T::default(); (dy.len() / channels).div_ceil(PIECE) * channels];
        let pieces = slots.par_chunks_mut(channels).zip(dy.par_chunks(PIECE * channels));
        pieces.with_max_len(1).for_each(|(sums, dy)| T::dispatch(ColumnSums { dy, sums }));
        (0..channels).map(|c| T::of(slots.iter().skip(c).step_by(channels).map(|sum| sum.f64()).sum())).collect()
    }
}

/// Sums over some pixels.
struct ColumnSums<'a, T> {
    dy: &'a [T],
    sums: &'a mut [T],
}

impl<T: Scalar> Operation<T> for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { dy, sums } = self;
        let channels = sums.len();
        for start in (0..channels).step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(channels);
            let mut sum = simd.splat(T::zero());
            for pixel in dy.chunks_exact(channels) {
                sum = simd.add(sum, simd.load(&pixel[lanes.clone()]));
            }
            simd.store(sum, &mut sums[lanes]);
        }
    }
}

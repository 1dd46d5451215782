//! The most that this processor could do: what a benchmark's figures are a fraction of.

use std::hint::black_box;
use std::time::Instant;

use crate::scalar::Scalar;
use crate::simd::{Dispatch, Operation, Simd};

/// Independent sums: enough to fill two units of a latency of five.
const SUMS: usize = 12;

/// Multiply-adds of each sum in one measurement, a few milliseconds.
const LENGTH: usize = 1 << 21;

/// Measurements, of which the best counts.
const TRIES: usize = 10;

/// Multiply-adds of `f32` as floating-point operations (two each) per second, on all threads of the current pool at once.
pub fn fma_peak() -> f64 {
    let best = rayon::broadcast(|_| (0..TRIES).map(|_| f32::dispatch(MultiplyAdds)).fold(0.0, f64::max));
    best.into_iter().sum()
}

/// Multiply-adds that wait for nothing but their own sum.
struct MultiplyAdds;

impl<T: Scalar> Operation<T> for MultiplyAdds {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) -> f64 {
        let (factor, term) = (simd.splat(black_box(T::of(0.999))), simd.splat(black_box(T::of(0.001))));
        let mut sums = [simd.splat(T::of(0.5)); SUMS];
        let start = Instant::now();
        for _ in 0..LENGTH {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, factor, term);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        for sum in sums {
            let mut lanes = [T::zero(); 16];
            simd.store(sum, &mut lanes);
            black_box(lanes);
        }
        (2 * SUMS * S::LANES * LENGTH) as f64 / seconds
    }
}

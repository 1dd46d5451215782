//! The peak performance of this processor, for expressing a benchmark's figures as a fraction of it.

use std::hint::black_box;
use std::time::Instant;

use bytemuck::Zeroable;

use crate::gemm::{Beta, Brgemm, Factors, PrefetchStream};
use crate::scalar::{Bf16, Scalar};
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Operation, Simd};

/// Number of independent sums: enough to fill two units with a latency of five.
const SUMS: usize = 12;

/// Multiply-adds per sum in one measurement, a few milliseconds.
const LENGTH: usize = 1 << 21;

/// Number of measurements, of which the best counts.
const TRIES: usize = 10;

/// The peak of `f32` multiply-adds, in floating-point operations (two each) per second, on all threads of the current
/// pool at once.
pub fn fma_peak() -> f64 {
    let best = rayon::broadcast(|_| (0..TRIES).map(|_| f32::dispatch(MultiplyAdds)).fold(0.0, f64::max));
    best.into_iter().sum()
}

/// Multiply-adds that depend only on their own sum.
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

/// Multiply-adds per second with bfloat16 factors on this thread, relative to those of `T`; 0 if there is no
/// instruction for them. It takes about a millisecond.
pub fn bf16_gain<T: Dispatch>() -> f64 {
    T::dispatch(Bf16Gain)
}

/// A product that fits into the first-level cache, for both kinds of factors.
struct Bf16Gain;

/// Its extent along K.
const K: usize = 128;

impl<T: Scalar> Operation<T> for Bf16Gain {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) -> f64 {
        match simd.multiplies_bf16() {
            true => seconds::<T, S>(simd) / seconds::<Bf16<T>, S>(simd),
            false => 0.0,
        }
    }
}

/// The shortest time for a micro-tile, of several tries.
#[inline(always)]
fn seconds<P: Factors, S: Simd<T = P::Accumulator>>(simd: S) -> f64 {
    const VECTORS: usize = 2;
    const PRODUCTS: usize = 16;
    let (m, n) = (S::ROWS[VECTORS - 1], VECTORS * S::LANES);
    let (a, b) = (vec![P::Input::zeroed(); m * K], vec![P::Weight::zeroed(); K * n]);
    let mut c = vec![P::Accumulator::zeroed(); m * n];
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let start = Instant::now();
        for _ in 0..PRODUCTS {
            let gemm = Brgemm::<P> {
                a: black_box(&a),
                lda: K,
                k_stride: 1,
                offsets: &[0],
                k: K,
                b: &b,
                m,
                vectors: VECTORS,
                n,
                lower_clamp: P::Accumulator::of(f64::NEG_INFINITY),
                prefetch_c: false,
            };
            let output = MatrixMut::new(&mut c, n, n);
            gemm.run(simd, Beta::Zero, output, &mut PrefetchStream::new(&mut std::iter::empty()));
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    black_box(c);
    best
}

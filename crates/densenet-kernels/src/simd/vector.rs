//! Vectors of one instruction set.

use half::bf16;

use super::micro_kernel::MicroKernel;
use crate::scalar::{Bf16, Scalar};

/// The most lanes of a vector in any instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// Vectors of one instruction set. Methods that take slices check their lengths.
///
/// The trait is sealed: code that runs an [`Operation`] may rely on what an instruction set promises.
pub trait Simd: MicroKernel<<Self as Simd>::T> + MicroKernel<Bf16<<Self as Simd>::T>> + Send + Sync + 'static {
    /// The type of a lane.
    type T: Scalar;
    /// A vector of [`Simd::LANES`] lanes.
    type V: Copy;
    /// Lanes of a vector.
    const LANES: usize;
    /// Rows of a micro-tile that is one, two or three vectors wide: as many as possible without register spills.
    const ROWS: [usize; 3];
    /// Second-level cache of most processors with this set, in units of 512 KiB: the measure for working sets.
    const CACHE: usize;

    /// All lanes `value`.
    fn splat(self, value: Self::T) -> Self::V;
    /// The first `LANES` elements of `from`, or all of a shorter slice and zeros in the other lanes.
    fn load(self, from: &[Self::T]) -> Self::V;
    /// Stores lanes to the first `LANES` elements of `to`, or as many as a shorter slice takes.
    fn store(self, value: Self::V, to: &mut [Self::T]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of the two; `value` if either is NaN.
    fn max(self, bound: Self::V, value: Self::V) -> Self::V;
    /// `yes` where `a > b`, otherwise `no`, also in lanes where either is NaN.
    fn select_gt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `yes` where `a <= b`, otherwise `no`, also in lanes where either is NaN.
    fn select_le(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Reads a vector.
    ///
    /// # Safety
    /// `from` must be valid for reads of `LANES` elements.
    #[allow(unsafe_code)]
    unsafe fn load_unchecked(self, from: *const Self::T) -> Self::V;
    /// Writes a vector.
    ///
    /// # Safety
    /// `to` must be valid for writes of `LANES` elements.
    #[allow(unsafe_code)]
    unsafe fn store_unchecked(self, value: Self::V, to: *mut Self::T);
    /// Prefetches the cache line at `address`, which need not be valid: nothing is read.
    #[inline(always)]
    fn prefetch<A>(self, _address: *const A) {}
    /// [`Simd::prefetch`] to the second level of the cache.
    #[inline(always)]
    fn prefetch_l2<A>(self, _address: *const A) {}

    /// Whether there is an instruction for products of bfloat16.
    fn multiplies_bf16(self) -> bool {
        false
    }
    /// Rounds `from` to the nearest bfloat16, halves to even, into `to`, which has the same length.
    fn round_to_bf16(self, from: &[Self::T], to: &mut [bf16]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.bf16());
    }

    /// Runs `operation` compiled for this instruction set.
    fn run<O: Operation<Self::T>>(self, operation: O) -> O::Output;
}

/// Something to be run on an instruction set.
///
/// `run`, and everything that it calls with the set, must be `#[inline(always)]` functions: code that is compiled on
/// its own, including closures, is compiled without the instruction set, and every vector operation in it becomes a
/// call.
pub trait Operation<T: Scalar> {
    /// The type of its result.
    type Output;
    /// Runs it on `simd`.
    fn run<S: Simd<T = T>>(self, simd: S) -> Self::Output;
}

//! Plain code that any compiler turns into whatever vectors the target has; also used for `f64`.

use std::marker::PhantomData;

use super::micro_kernel::{MicroKernel, MicroTile};
use super::vector::{Operation, Simd};
use super::{plain_bf16_kernel, plain_micro_kernel};
use crate::scalar::{Bf16, Scalar};

/// Four lanes of `T` without intrinsics.
#[derive(Clone, Copy)]
pub struct Portable<T>(PhantomData<T>);

impl<T> Portable<T> {
    /// Every processor has it.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Portable<T> {
    fn default() -> Self {
        Self::new()
    }
}

const LANES: usize = 4;

#[inline(always)]
fn zip<T: Scalar>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> T) -> [T; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl<T: Scalar> Simd for Portable<T> {
    type T = T;
    type V = [T; LANES];
    const LANES: usize = LANES;
    const ROWS: [usize; 3] = [4, 4, 2];
    const CACHE: usize = 1;

    #[inline(always)]
    fn splat(self, value: T) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[T]) -> Self::V {
        std::array::from_fn(|i| from.get(i).copied().unwrap_or_else(T::zero))
    }

    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [T]) {
        let n = to.len().min(LANES);
        to[..n].copy_from_slice(&value[..n]);
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }

    // Not `Float::mul_add`: without the instruction, that calls the math library.
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn max(self, bound: Self::V, value: Self::V) -> Self::V {
        zip(bound, value, |bound, value| if bound > value { bound } else { value })
    }

    #[inline(always)]
    fn select_gt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn select_le(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] <= b[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn load_unchecked(self, from: *const T) -> Self::V {
        // SAFETY: the caller vouches for `LANES` elements; an array has the alignment of its elements.
        unsafe { *from.cast::<[T; LANES]>() }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn store_unchecked(self, value: Self::V, to: *mut T) {
        // SAFETY: the caller vouches for `LANES` elements; an array has the alignment of its elements.
        unsafe { *to.cast::<[T; LANES]>() = value }
    }

    #[inline]
    fn run<O: Operation<T>>(self, operation: O) -> O::Output {
        // Operations are large, and compiled once each, as for the other sets.
        #[inline(never)]
        fn inner<T: Scalar, O: Operation<T>>(simd: Portable<T>, operation: O) -> O::Output {
            operation.run(simd)
        }
        inner(self, operation)
    }
}

impl<T: Scalar> MicroKernel<T> for Portable<T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, T>) {
        // SAFETY: the caller's.
        unsafe { plain_micro_kernel::micro_kernel::<Self, M, V>(self, tile) }
    }
}

impl<T: Scalar> MicroKernel<Bf16<T>> for Portable<T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Bf16<T>>) {
        // SAFETY: the caller's.
        unsafe { plain_bf16_kernel::micro_kernel::<T, M, V>(Self::LANES, tile) }
    }
}

//! 8-bit integers in plain code.
#![allow(unsafe_code)]

use super::integer::{Bytes, IntegerOperation, IntegerSimd, Words};
use super::micro_kernel::{MicroKernel, MicroTile};
use super::plain_integer_kernel;
use super::portable::Portable;
use super::vector::Simd;

/// The lanes at `from`, with zeros after the first `lanes`.
///
/// # Safety
/// `from` must be valid for reads of `lanes` elements.
#[inline(always)]
unsafe fn load<T: Copy>(from: *const T, lanes: usize, as_float: impl Fn(T) -> f32) -> [f32; LANES] {
    // SAFETY: the caller's.
    std::array::from_fn(|i| if i < lanes { as_float(unsafe { *from.add(i) }) } else { 0.0 })
}

/// Writes the first `lanes` lanes, rounded.
///
/// # Safety
/// `to` must be valid for writes of `lanes` elements.
#[inline(always)]
unsafe fn store<T>(value: [f32; LANES], to: *mut T, lanes: usize, as_integer: impl Fn(f32) -> T) {
    for (i, &value) in value.iter().take(lanes).enumerate() {
        // SAFETY: the caller's.
        unsafe { *to.add(i) = as_integer(value.round_ties_even()) };
    }
}

const LANES: usize = <Portable<f32> as Simd>::LANES;

impl IntegerSimd for Portable<f32> {
    #[inline(always)]
    fn multiplies_bytes(self) -> bool {
        false
    }

    #[inline(always)]
    fn min(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, lanes: usize) -> [f32; LANES] {
        // SAFETY: the caller's.
        unsafe { load(from, lanes, f32::from) }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32, lanes: usize) -> [f32; LANES] {
        // SAFETY: the caller's.
        unsafe { load(from, lanes, |value| value as f32) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, value: [f32; LANES], to: *mut u8, lanes: usize) {
        // SAFETY: the caller's.
        unsafe { store(value, to, lanes, |value| value as u8) }
    }

    #[inline(always)]
    unsafe fn store_i16(self, value: [f32; LANES], to: *mut i16, lanes: usize) {
        // SAFETY: the caller's.
        unsafe { store(value, to, lanes, |value| value as i16) }
    }

    #[inline]
    fn run_integers<O: IntegerOperation>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}

macro_rules! micro_kernel {
    ($($precision:ty),*) => {$(
        impl MicroKernel<$precision> for Portable<f32> {
            #[inline(always)]
            unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, $precision>) {
                // SAFETY: the caller's.
                unsafe { plain_integer_kernel::micro_kernel::<$precision, M, V>(LANES, tile) }
            }
        }
    )*};
}

micro_kernel!(Bytes, Words);

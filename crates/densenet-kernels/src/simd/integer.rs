//! 8-bit integers: as lanes of `f32` when loaded and stored, and in products.
#![allow(unsafe_code)]

use std::fmt::Debug;

use bytemuck::Pod;

use super::micro_kernel::MicroKernel;
use super::vector::Simd;
use crate::scalar::Precision;

/// An exact product of small integers: unsigned 8-bit feature maps, signed 8-bit weights, 32-bit sums. Every precision
/// gives the same sums; which is the fastest depends on the processor.
pub trait Integer: Precision<Input: Target, Accumulator = i32> {
    /// The packed form of `value`.
    fn input(value: u8) -> Self::Input;
    /// The packed form of `value`.
    fn weight(value: i8) -> Self::Weight;
}

/// Bytes; an instruction multiplies groups of four: `vpdpbusd`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;

/// Bytes widened to 16 bits; an instruction multiplies pairs: `vpmaddwd`. The instruction for bytes on processors
/// without `vpdpbusd`, `vpmaddubsw`, adds pairs in 16 bits, for which 8-bit weights are too large.
#[derive(Clone, Copy, Debug)]
pub struct Words;

impl Precision for Bytes {
    type Input = u8;
    type Weight = i8;
    type Accumulator = i32;
    const K_GROUP: usize = 4;
}

impl Precision for Words {
    type Input = i16;
    type Weight = i16;
    type Accumulator = i32;
    const K_GROUP: usize = 2;
}

impl Integer for Bytes {
    fn input(value: u8) -> u8 {
        value
    }

    fn weight(value: i8) -> i8 {
        value
    }
}

impl Integer for Words {
    fn input(value: u8) -> i16 {
        value.into()
    }

    fn weight(value: i8) -> i16 {
        value.into()
    }
}

/// Element types that can be read as lanes of `f32`.
pub trait Source: Pod + Debug + Send + Sync {
    /// Reads the first `lanes` elements, at most a vector's, and zeros in the other lanes.
    ///
    /// # Safety
    /// `from` must be valid for reads of `lanes` elements.
    unsafe fn load<S: IntegerSimd>(simd: S, from: *const Self, lanes: usize) -> S::V;
}

/// Element types as which lanes of `f32` from 0 to 255 can be written, rounded to the nearest integer, halves to even.
pub trait Target: Pod + Debug + Send + Sync {
    /// Writes the first `lanes` lanes, at most all.
    ///
    /// # Safety
    /// `to` must be valid for writes of `lanes` elements.
    unsafe fn store<S: IntegerSimd>(simd: S, value: S::V, to: *mut Self, lanes: usize);
}

macro_rules! through {
    ($($element:ty: $method:ident),*; $($target:ty: $write:ident),*) => {
        $(impl Source for $element {
            #[inline(always)]
            unsafe fn load<S: IntegerSimd>(simd: S, from: *const Self, lanes: usize) -> S::V {
                // SAFETY: the caller's.
                unsafe { simd.$method(from, lanes) }
            }
        })*
        $(impl Target for $target {
            #[inline(always)]
            unsafe fn store<S: IntegerSimd>(simd: S, value: S::V, to: *mut Self, lanes: usize) {
                // SAFETY: the caller's.
                unsafe { simd.$write(value, to, lanes) }
            }
        })*
    };
}

through!(u8: load_u8, i32: load_i32, f32: load_f32; u8: store_u8, i16: store_i16);

/// An instruction set's loads, stores and products of small integers.
pub trait IntegerSimd: Simd<T = f32> + MicroKernel<Bytes> + MicroKernel<Words> {
    /// Whether there is an instruction for products of [`Bytes`]; without it, those of [`Words`] are faster.
    fn multiplies_bytes(self) -> bool;

    /// The smaller of the two, neither of which may be NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;

    /// [`Source::load`].
    ///
    /// # Safety
    /// That of [`Source::load`].
    unsafe fn load_u8(self, from: *const u8, lanes: usize) -> Self::V;

    /// [`Source::load`].
    ///
    /// # Safety
    /// That of [`Source::load`].
    unsafe fn load_i32(self, from: *const i32, lanes: usize) -> Self::V;

    /// [`Source::load`].
    ///
    /// # Safety
    /// That of [`Source::load`].
    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32, lanes: usize) -> Self::V {
        // SAFETY: the caller's.
        self.load(unsafe { std::slice::from_raw_parts(from, lanes) })
    }

    /// [`Target::store`].
    ///
    /// # Safety
    /// That of [`Target::store`].
    unsafe fn store_u8(self, value: Self::V, to: *mut u8, lanes: usize);

    /// [`Target::store`].
    ///
    /// # Safety
    /// That of [`Target::store`].
    unsafe fn store_i16(self, value: Self::V, to: *mut i16, lanes: usize);

    /// Runs `operation` compiled for this instruction set.
    fn run_integers<O: IntegerOperation>(self, operation: O) -> O::Output;
}

/// An [`super::Operation`] on small integers.
pub trait IntegerOperation {
    /// The type of its result.
    type Output;
    /// Runs it on `simd`.
    fn run<S: IntegerSimd>(self, simd: S) -> Self::Output;
}

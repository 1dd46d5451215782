//! Element types: those that operations compute with, and those that a matrix product stores, packs and accumulates.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::{AddAssign, MulAssign, SubAssign};

use bytemuck::Pod;
use half::bf16;
use num_traits::{Float, FromPrimitive};

/// The element types of a matrix product, and how many of them the micro-kernel multiplies at a time.
///
/// A floating-point product has the same type throughout, except for [`Bf16`]. An integer product packs narrow
/// integers; one instruction multiplies a group of them and adds the products to one wide sum.
pub trait Precision: Copy + Send + Sync + 'static {
    /// An element of the packed left operand: feature maps.
    type Input: Pod + Debug + Send + Sync;
    /// An element of the packed right operand: weights.
    type Weight: Pod + Debug + Send + Sync;
    /// An element of the sums.
    type Accumulator: Pod + Debug + Send + Sync;
    /// Neighbouring elements along K that one instruction multiplies and sums: 1, 2 or 4.
    const K_GROUP: usize;
}

/// A floating-point number: `f32` for use, `f64` to check the same code to fourteen digits.
pub trait Scalar:
    Precision<Input = Self, Weight = Self, Accumulator = Self>
    + Float
    + FromPrimitive
    + Sum
    + AddAssign
    + SubAssign
    + MulAssign
    + Default
    + Debug
    + Display
    + Pod
{
    /// The number nearest to `value`.
    fn of(value: f64) -> Self {
        Self::from_f64(value).expect("every f64 has a nearest float")
    }

    /// The nearest bfloat16, rounded through single precision.
    fn bf16(self) -> bf16 {
        bf16::from_f32(self.to_f32().expect("every float is near an f32"))
    }

    /// This number in double precision.
    fn f64(self) -> f64 {
        self.to_f64().expect("every float is an f64")
    }
}

macro_rules! floating_point {
    ($($float:ty),*) => {$(
        impl Precision for $float {
            type Input = $float;
            type Weight = $float;
            type Accumulator = $float;
            const K_GROUP: usize = 1;
        }

        impl Scalar for $float {}
    )*};
}

floating_point!(f32, f64);

/// Factors in bfloat16; one instruction multiplies a pair and adds the products to a sum of `T`.
#[derive(Clone, Copy, Debug)]
pub struct Bf16<T>(PhantomData<T>);

impl<T: Scalar> Precision for Bf16<T> {
    type Input = bf16;
    type Weight = bf16;
    type Accumulator = T;
    const K_GROUP: usize = 2;
}

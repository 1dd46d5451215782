//! Element types: what operations compute with, and what a matrix product stores, packs and accumulates.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

use bytemuck::Pod;
use num_traits::{Float, FromPrimitive};

/// The element types of a matrix product, and how many of them the micro-kernel multiplies at a time.
///
/// A floating-point product has one type throughout. An integer product packs narrow integers, of which one instruction
/// multiplies a group and adds the products to one wide sum.
pub trait Precision: Copy + Send + Sync + 'static {
    /// An element of the packed left operand: feature maps.
    type Input: Pod + Debug + Send + Sync;
    /// An element of the packed right operand: weights.
    type Weight: Pod + Debug + Send + Sync;
    /// An element of the sums.
    type Accumulator: Pod + Debug + Send + Sync;
    /// Neighbouring elements along K that one instruction multiplies and adds up: 1, 2 or 4.
    const K_GROUP: usize;
}

/// A floating-point number: `f32` for work, `f64` to check the same code to fourteen digits.
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
    /// The nearest number to `value`.
    fn of(value: f64) -> Self {
        Self::from_f64(value).expect("every f64 has a nearest float")
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

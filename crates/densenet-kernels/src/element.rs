//! The numbers that operations work on.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

use bytemuck::Pod;
use num_traits::{Float, FromPrimitive};

/// A floating-point element: `f32` for work, `f64` to check the same code to fourteen digits.
pub trait Element:
    Float + FromPrimitive + Sum + AddAssign + SubAssign + MulAssign + Default + Debug + Display + Pod + Send + Sync
{
    /// The nearest element to `value`.
    fn of(value: f64) -> Self {
        Self::from_f64(value).expect("every f64 has a nearest float")
    }

    /// This element in double precision.
    fn f64(self) -> f64 {
        self.to_f64().expect("every float is an f64")
    }
}

impl Element for f32 {}
impl Element for f64 {}

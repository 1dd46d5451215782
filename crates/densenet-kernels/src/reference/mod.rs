//! Plain, readable forms of every operation, forward and backward, against which the fast ones are checked.
//!
//! Arrays are slices in row-major order; feature maps are `(N, C, H, W)`, described by a [`Shape4`]. Every function
//! returns new arrays; gradients are those of a loss whose gradient with respect to the operation's output is `dy`.
//! Functions panic if slices disagree with their shape, which is an error in the caller.

pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod conv;
pub mod cross_entropy;
pub mod dropout;
pub mod int8;
pub mod linear;
pub mod pool;
pub mod pre_activation;
pub mod relu;
mod shape;

#[cfg(test)]
mod check;

pub use shape::Shape4;

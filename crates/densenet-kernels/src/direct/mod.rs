//! Convolution of a pre-activation, forward and backward, as the sum in its definition.
//!
//! [`forward`] computes `y`; [`backward_data`] propagates the gradient `dy` back through convolution, ReLU and the
//! linear part of batch-norm; [`backward_weights`] computes the gradient `dw` of the weights; [`backward_1x1`] does
//! both for a bottleneck. All pack a row block of their input and multiply it from there, and none needs a transpose.
//! [`backward_pictures`] computes the gradient of the first convolution's input.

pub(crate) mod backward_1x1;
pub(crate) mod backward_bias;
pub(crate) mod backward_data;
pub(crate) mod backward_pictures;
pub(crate) mod backward_weights;
pub(crate) mod forward;
mod sums;
mod weights;

pub use backward_1x1::backward_1x1;
pub use backward_bias::backward_bias;
pub use backward_data::backward_data;
pub use backward_pictures::backward_pictures;
pub use backward_weights::{OutputGradient, backward_weights};
pub use forward::{forward, forward_bf16, forward_with_moments, recompute};
pub use weights::{pack_backward, pack_forward, pack_forward_bf16};

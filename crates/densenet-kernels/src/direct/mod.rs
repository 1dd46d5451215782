//! Convolution of a pre-activation, forward and backward, as the sum that its definition says.
//!
//! [`forward`] makes `y`; [`backward_data`] takes the gradient `dy` back through convolution, ReLU and the linear part of
//! batch-norm; [`backward_weights`] makes the gradient `dw` of the weights; [`backward_1x1`] does both for a bottleneck. All
//! pack a row block of their input and multiply it from there, and none needs a transpose. [`backward_pictures`] makes the
//! gradient of what the first convolution reads.

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

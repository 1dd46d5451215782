//! Inference in eight bits.
//!
//! A feature map is bytes without a sign, `x = scale * (q - zero)`, with a scale and a zero of each channel. A batch-norm and
//! its ReLU make other such bytes of it, whose zero is 0, by one multiply and add a channel and bounds at 0 and 255; so does
//! what follows the sums of a convolution. Scales of activations go into the weights of the convolution that reads them, so
//! that its sums are of integers and exact, on every instruction set and in any order. Pictures become bytes where they are
//! packed.

mod conv;
mod dequantize;
mod input;
mod pool;

pub use conv::{IntegerConv, MOST_TERMS, forward, pack, pack_for_pictures};
pub use dequantize::dequantize;
pub use input::IntegerInput;
pub use pool::pool;

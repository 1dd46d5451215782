//! Int8 inference.
//!
//! A feature map consists of unsigned bytes, `x = scale * (q - zero)`, with a scale and a zero point per channel. A
//! batch-norm and its ReLU convert it to other such bytes, with a zero point of 0, by one multiply and add per channel
//! and bounds at 0 and 255; so does the epilogue of a convolution. Scales of activations are merged into the weights of
//! the convolution that reads them, so that its sums are integer sums and exact, on every instruction set and in any
//! order. Pictures are converted to bytes as they are packed.

mod conv;
mod dequantize;
mod input;
mod pool;

pub use conv::{IntegerConv, MOST_TERMS, forward, pack, pack_for_pictures};
pub use dequantize::dequantize;
pub use input::IntegerInput;
pub use pool::pool;

//! The packed input of a row block: where normalisation, ReLU, pooling and padding happen.
//!
//! The input of a row block, `[row][column][channel]` with its borders, is packed into a thread's scratch memory, which
//! fits into the cache; nothing normalised or rectified is ever written back to main memory.

mod factors;
mod input;
mod layout;

pub(crate) use factors::PackedFactors;
pub use input::Input;
pub(crate) use input::pack_pre_activation;
pub(crate) use layout::{Layout, PixelRun, Spacing, pixel_stride};

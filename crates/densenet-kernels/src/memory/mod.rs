//! Working memory.

mod aligned;
mod scratch;

pub use aligned::Aligned;
pub(crate) use aligned::CACHE_LINE;
pub use scratch::Scratch;

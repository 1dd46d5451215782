//! How an operation is cut into pieces of work for several threads.

mod partition;
mod split_k;

pub(crate) use partition::{MAX_ROWS, Partition, RowBlock};
pub(crate) use split_k::split_k;

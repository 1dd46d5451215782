//! The batch-reduce matrix product that every convolution is made of.

mod brgemm;
mod integer;
mod outer_products;
mod packed_weights;
mod prefetch;

pub(crate) use brgemm::{Beta, Brgemm};
pub(crate) use integer::IntegerGemm;
pub(crate) use outer_products::{Lines, OuterProducts};
pub use packed_weights::PackedWeights;
pub(crate) use packed_weights::{ColumnBlocks, MAX_VECTORS, Panel, panels};
pub(crate) use prefetch::PrefetchStream;

//! The batch-reduce matrix product that every convolution is built from.

mod brgemm;
mod integer;
mod outer_products;
mod packed_weights;
mod prefetch;

pub(crate) use brgemm::{Beta, Brgemm, Factors};
pub(crate) use integer::IntegerGemm;
pub(crate) use outer_products::{Lines, OuterProducts};
pub use packed_weights::PackedWeights;
pub(crate) use packed_weights::{ColumnBlocks, MAX_VECTORS, Panel, panels};
pub(crate) use prefetch::PrefetchStream;

/// Heights of products for tests, given the rows of a micro-tile: every height up to one row more than two tiles. Miri
/// is slow, and gets one of each kind: a row, a whole tile, and two tiles neither of which is whole.
#[cfg(test)]
fn heights(rows: usize) -> Vec<usize> {
    if cfg!(miri) { vec![1, rows, rows + 1] } else { (1..=2 * rows + 1).collect() }
}

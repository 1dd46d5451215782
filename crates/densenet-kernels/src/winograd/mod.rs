//! 3x3 convolution by Winograd's minimal filtering (Lavin and Gray, CVPR 2016, arXiv 1509.09308): a quarter or four
//! ninths of the multiplications of the direct sum.
//!
//! The input of a row block is cut into overlapping tiles, and each tile is transformed. At each of a tile's points,
//! the tiles' channels are multiplied by that point's weights, which is a matrix product. An inverse transform turns
//! the products into pixels.

pub(crate) mod backward_data;
pub(crate) mod backward_weights;
pub(crate) mod filters;
pub(crate) mod forward;
mod from_points;
mod points;
mod tile_size;
mod tiling;
mod to_points;
mod transform;

pub use backward_data::backward_data;
pub use backward_weights::backward_weights;
pub use filters::Filters;
pub use forward::{forward, forward_with_moments};
pub use tile_size::{TileSize, WINDOW};

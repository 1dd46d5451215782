//! Shapes and views: image extents, convolution windows, pooling, feature maps, and the linear part of a batch-norm.

mod affine;
mod feature_maps;
mod grid;
mod pooling;
mod window;

pub use affine::Affine;
pub use feature_maps::{FeatureMap, FeatureMaps};
pub(crate) use feature_maps::{pixels_of, split_mut};
pub use grid::Grid;
pub use pooling::Pooling;
pub use window::Window;

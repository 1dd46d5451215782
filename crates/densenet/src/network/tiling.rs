//! Which convolutions are computed by Winograd's tiles.

use densenet_kernels::maps::Grid;
use densenet_kernels::winograd::{self, Tile};

use super::pre_activation::window;
use crate::architecture::Conv;

/// Input channels from which evaluating tiles pays.
const DEEP: usize = 16;

/// Rows of maps from which 4x4 tiles pay in training, where a batch shares the weights.
const TRAINING_FROM: usize = 3;

/// Rows from which 4x4 tiles pay in inference. Below it the 2.3 times larger weights cost more to read than the fewer
/// multiplications save.
const FOUR_FROM: usize = 20;

/// Rows from which 2x2 tiles pay in inference. Below it little more than the weights is read at all.
const TWO_FROM: usize = 5;

fn has_tiles(conv: &Conv) -> bool {
    window(conv) == winograd::WINDOW && conv.in_channels >= DEEP
}

/// The tiles by which a step of training computes `conv` of maps of `grid`, forward and backward; none where plain sums are
/// as fast.
pub(super) fn in_training(conv: &Conv, grid: Grid) -> Option<Tile> {
    (has_tiles(conv) && grid.height >= TRAINING_FROM).then_some(Tile::Four)
}

/// The tiles by which inference computes `conv`, whose maps are usually `height` pixels high.
pub(super) fn in_inference(conv: &Conv, height: usize) -> Option<Tile> {
    let tile = if height >= FOUR_FROM { Tile::Four } else { Tile::Two };
    (has_tiles(conv) && height >= TWO_FROM).then_some(tile)
}

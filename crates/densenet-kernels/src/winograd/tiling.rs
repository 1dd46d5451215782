//! How images are cut into tiles.

use std::ops::Range;

use crate::parallel::{Partition, RowBlock};
use crate::shapes::Grid;

/// The tiles of a batch of images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub grid: Grid,
    /// Pixels of a tile along one axis.
    pub outputs: usize,
}

impl Tiling {
    /// Points of a tile.
    pub fn points(&self) -> usize {
        (self.outputs + 2) * (self.outputs + 2)
    }

    /// Tiles in a row.
    pub fn across(&self) -> usize {
        self.grid.width.div_ceil(self.outputs)
    }

    /// Rows of tiles in an image.
    pub fn down(&self) -> usize {
        self.grid.height.div_ceil(self.outputs)
    }

    /// How the images are cut into row blocks, where a tile has `stride` elements at a point.
    pub fn partition(&self, stride: usize) -> Partition {
        Partition::tiles(self.grid, self.across(), self.points() * self.across() * stride, self.outputs)
    }

    /// Numbers of the rows of tiles of `block`, counted over all images.
    pub fn rows(&self, block: &RowBlock) -> Range<usize> {
        let row = |y: usize| y / self.grid.height * self.down() + y % self.grid.height / self.outputs;
        let first = block.image * self.down();
        first + row(block.rows.start)..first + row(block.rows.end)
    }

    /// The image of row `row` of the tiles, and its first row of pixels there.
    pub fn place(&self, row: usize) -> (usize, usize) {
        (row / self.down(), row % self.down() * self.outputs)
    }

    /// Pixels of `rows` of tiles, counted over all images.
    pub fn pixels(&self, rows: &Range<usize>) -> Range<usize> {
        let Grid { height, width, .. } = self.grid;
        let pixel = |row: usize| {
            let (image, y) = self.place(row);
            (image * height + y) * width
        };
        pixel(rows.start)..pixel(rows.end)
    }
}

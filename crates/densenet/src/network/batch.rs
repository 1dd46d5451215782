//! Pictures as input to a network.

use std::ops::Range;

use densenet_kernels::Grid;

/// Pictures to predict.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a, T> {
    /// `(N, C, H, W)`.
    pub pictures: &'a [T],
    pub grid: Grid,
}

impl<T> Batch<'_, T> {
    /// Some of its `images`.
    pub fn images(&self, images: Range<usize>) -> Self {
        let image = self.pictures.len() / self.grid.images;
        let pictures = &self.pictures[images.start * image..images.end * image];
        Self { pictures, grid: Grid { images: images.len(), ..self.grid } }
    }
}

//! The extents of a batch of images.

/// Number of images, and the rows and columns of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Number of images.
    pub images: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
}

impl Grid {
    /// Pixels of all images together.
    pub fn pixels(self) -> usize {
        self.images * self.height * self.width
    }

    /// The same pixels as one column of one image.
    pub(crate) fn flattened(self) -> Self {
        Self { images: 1, height: self.pixels(), width: 1 }
    }

    /// Extents after 2x2 pooling with stride 2.
    pub fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2, ..self }
    }
}

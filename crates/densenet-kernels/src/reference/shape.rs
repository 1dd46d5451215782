//! The shape of feature maps.

/// Extents of feature maps, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape4 {
    /// Number of pictures in the batch.
    pub n: usize,
    /// Number of channels.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

impl Shape4 {
    /// `(N, C, H, W)`.
    pub fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Self { n, c, h, w }
    }

    /// Total number of elements.
    pub fn len(self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Whether there are no elements.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels of one map, `H * W`.
    pub fn plane(self) -> usize {
        self.h * self.w
    }

    /// Index of an element.
    pub fn index(self, n: usize, c: usize, y: usize, x: usize) -> usize {
        ((n * self.c + c) * self.h + y) * self.w + x
    }

    /// Index of the first element, and channel, of every map, in order.
    pub fn planes(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.n * self.c).map(move |i| (i * self.plane(), i % self.c))
    }
}

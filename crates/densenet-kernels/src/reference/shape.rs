//! The shape of feature maps.

/// Extents of feature maps, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape4 {
    /// Pictures of the batch.
    pub n: usize,
    /// Channels.
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

    /// Elements in all.
    pub fn len(self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels of one map, `H * W`.
    pub fn plane(self) -> usize {
        self.h * self.w
    }

    /// Place of an element.
    pub fn index(self, n: usize, c: usize, y: usize, x: usize) -> usize {
        ((n * self.c + c) * self.h + y) * self.w + x
    }

    /// Places of the first element and channel of every map, in order.
    pub fn planes(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.n * self.c).map(move |i| (i * self.plane(), i % self.c))
    }
}

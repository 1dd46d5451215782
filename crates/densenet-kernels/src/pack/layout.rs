//! Where the pixels of packed input are.

use std::ops::Range;

use crate::memory::CACHE_LINE;
use crate::scalar::Precision;
use crate::shapes::{Grid, Window};

/// The most offsets of a product: a 7x7 kernel, or as many rows.
pub(crate) const MAX_OFFSETS: usize = 64;

/// Elements of a cache line of `f32`.
const LINE: usize = 16;

/// Elements from one packed pixel of `channels` to the next: an odd number of cache lines, which keeps neighbouring pixels
/// out of the same cache set.
pub(crate) fn pixel_stride(channels: usize) -> usize {
    (channels.div_ceil(LINE) | 1) * LINE
}

/// How pixels follow each other in packed input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// [`pixel_stride`] elements from one to the next.
    Lines,
    /// Without gaps: there are so few channels that a kernel's row is one run of K.
    Dense,
}

/// Where the packed input of a convolution is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The convolution's window.
    pub window: Window,
    /// Pixels in a row, borders included.
    pub columns: usize,
    /// Elements from one pixel to the next.
    pub pixel: usize,
    /// Output pixels in a row.
    pub outputs: usize,
    /// Length of a run of K: the channels of a kernel offset, or of a whole kernel row where pixels have no gaps.
    pub k: usize,
    /// Runs of K in a row of the kernel.
    runs: usize,
    /// Elements past the last pixel that its run of K covers; they are multiplied by weights of zero.
    beyond: usize,
}

/// Neighbouring output pixels of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PixelRun {
    /// Where their input begins in the packed input.
    pub start: usize,
    /// The first of them, counted in the row block.
    pub first: usize,
    /// Pixels.
    pub count: usize,
}

impl Layout {
    /// The layout for `window` over `channels` of `grid`.
    pub fn new(grid: Grid, channels: usize, window: Window, spacing: Spacing) -> Self {
        let fits = grid.height.min(grid.width) + 2 * window.padding >= window.kernel;
        assert!(fits && grid.height.min(grid.width) > 0, "{window:?} on {grid:?}");
        let outputs = window.output(grid).width;
        let (pixel, k, runs) = match spacing {
            Spacing::Dense => (channels, channels * window.kernel, 1),
            Spacing::Lines => (pixel_stride(channels), channels, window.kernel),
        };
        assert!(window.kernel * runs <= MAX_OFFSETS, "{window:?} has more than {MAX_OFFSETS} offsets");
        Self { window, columns: window.reach(outputs), pixel, outputs, k, runs, beyond: 0 }
    }

    /// The layout for `window` over `channels` of `grid`, packed as `P`: K in whole groups.
    pub fn of_groups<P: Precision>(grid: Grid, channels: usize, window: Window, spacing: Spacing) -> Self {
        let layout = Self::new(grid, channels, window, spacing);
        let k = layout.k.next_multiple_of(P::K_GROUP);
        match spacing {
            Spacing::Dense => Self { k, beyond: k - layout.k, ..layout },
            Spacing::Lines => {
                let line = CACHE_LINE / size_of::<P::Input>();
                Self { pixel: (k.div_ceil(line) | 1) * line, k, ..layout }
            }
        }
    }

    /// Elements that `rows` output rows read.
    pub fn len(&self, rows: usize) -> usize {
        self.window.reach(rows) * self.columns * self.pixel + self.beyond
    }

    /// Elements from one output row's input to the next one's.
    pub fn row_stride(&self) -> usize {
        self.window.stride * self.columns * self.pixel
    }

    /// Elements from one output pixel's input to the next one's.
    pub fn output_stride(&self) -> usize {
        self.window.stride * self.pixel
    }

    /// Where the runs of K of one output pixel begin, in the order of the weights' rows, and their number.
    pub fn offsets(&self) -> ([usize; MAX_OFFSETS], usize) {
        let mut offsets = [0; MAX_OFFSETS];
        let count = self.window.kernel * self.runs;
        for (o, offset) in offsets[..count].iter_mut().enumerate() {
            *offset = (o / self.runs * self.columns + o % self.runs) * self.pixel;
        }
        (offsets, count)
    }

    /// Where the input for each of `rows` rows of output begins, and the number of pixels that follow each of these
    /// points.
    pub fn lines<'a>(&self, rows: usize, lines: &'a mut [usize]) -> (&'a [usize], usize) {
        if self.window == Window::POINT {
            return (&lines[..1], rows * self.outputs);
        }
        for (r, line) in lines[..rows].iter_mut().enumerate() {
            *line = r * self.row_stride();
        }
        (&lines[..rows], self.outputs)
    }

    /// Cuts `rows` rows of output into runs of at most `most` pixels.
    pub fn runs(&self, rows: usize, most: usize) -> impl Iterator<Item = PixelRun> + use<> {
        // Rows of a 1x1 convolution follow each other without borders, so runs may span several of them.
        let (rows, outputs) =
            if self.window == Window::POINT { (1, rows * self.outputs) } else { (rows, self.outputs) };
        let Self { window, columns, pixel, .. } = *self;
        let count = outputs.div_ceil(most);
        let cut = move |i: usize| i * outputs / count;
        (0..rows).flat_map(move |y| {
            (0..count).map(move |i| {
                let run: Range<usize> = cut(i)..cut(i + 1);
                let start = (y * columns + run.start) * window.stride * pixel;
                PixelRun { start, first: y * outputs + run.start, count: run.len() }
            })
        })
    }
}

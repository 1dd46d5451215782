//! The packed input of a piece of convolution: where normalising, rectifying, pooling and padding happen.
//!
//! A patch is what a band of output reads, `[row][column][channel]`, borders included. It lives in a thread's scratch
//! memory, in the cache; nothing normalised or rectified is ever written back to memory.

use std::ops::Range;

use crate::Element;
use crate::bands::Band;
use crate::isa::{Dispatch, Simd, apart};
use crate::maps::{Grid, Maps};

/// Kernel extent, stride and zero padding, the same along both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Input pixels between output pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

impl Window {
    /// A 1x1 convolution.
    pub const POINT: Self = Self { kernel: 1, stride: 1, padding: 0 };

    /// Extents of the output for input of `grid`.
    pub fn output(self, grid: Grid) -> Grid {
        let extent = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        Grid { height: extent(grid.height), width: extent(grid.width), ..grid }
    }

    /// Input rows or columns that `outputs` neighbouring output rows or columns read.
    fn reach(self, outputs: usize) -> usize {
        (outputs - 1) * self.stride + self.kernel
    }
}

/// Scale and shift of a batch-norm, one of each a channel: `z = scale * x + shift`.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// `gamma / sqrt(variance + eps)`.
    pub scale: &'a [T],
    /// `beta - mean * scale`.
    pub shift: &'a [T],
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, T> {
    /// `relu(scale * x + shift)` of feature maps: a pre-activation.
    PreActivation(Maps<'a, T>, Affine<'a, T>),
    /// The same behind 2x2 average pooling of stride 2. A 1x1 convolution of it is a transition at a quarter of the
    /// cost: averaging and a linear map over channels commute.
    Pooled(Maps<'a, T>, Affine<'a, T>),
    /// Feature maps or gradients as they are, `[image][y][x][channel]`, of so many channels.
    Raw(&'a [T], Grid, usize),
    /// Pictures, `[image][channel][y][x]`, of so many channels.
    Pictures(&'a [T], Grid, usize),
}

impl<T: Dispatch> Input<'_, T> {
    /// Extents that the convolution sees.
    pub fn grid(&self) -> Grid {
        match self {
            Self::PreActivation(maps, _) => maps.grid(),
            Self::Pooled(maps, _) => maps.grid().halved(),
            Self::Raw(_, grid, _) | Self::Pictures(_, grid, _) => *grid,
        }
    }

    /// Channels that the convolution sees.
    pub fn channels(&self) -> usize {
        match self {
            Self::PreActivation(maps, _) | Self::Pooled(maps, _) => maps.channels(),
            Self::Raw(_, _, channels) | Self::Pictures(_, _, channels) => *channels,
        }
    }

    /// The maps that the convolution reads, unless it reads pictures.
    fn maps(&self) -> Option<Maps<'_, T>> {
        match self {
            Self::PreActivation(maps, _) | Self::Pooled(maps, _) => Some(*maps),
            Self::Raw(data, grid, channels) => Some(Maps::new(data, *grid, std::slice::from_ref(channels))),
            Self::Pictures(..) => None,
        }
    }

    /// What lies under so many of the pixels that the convolution sees.
    pub(crate) fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let averaged = if matches!(self, Self::Pooled(..)) { 4 } else { 1 };
        let pixels = averaged * pixels.start..averaged * pixels.end;
        self.maps().into_iter().flat_map(move |maps| maps.runs(pixels.clone(), 0..maps.channels()))
    }

    /// The same for a convolution of `window`: to a 1x1 convolution all pixels are alike, so they become a column, which
    /// can be cut anywhere.
    pub(crate) fn for_window(self, window: Window) -> Self {
        match self {
            Self::PreActivation(maps, affine) if window == Window::POINT => {
                Self::PreActivation(maps.flattened(), affine)
            }
            Self::Raw(data, grid, channels) if window == Window::POINT => Self::Raw(data, grid.flattened(), channels),
            other => other,
        }
    }

    /// Refuses elements of another number than the extents say, and windows that do not fit.
    fn check(&self, window: Window) {
        let grid = self.grid();
        if let Self::Raw(data, _, channels) | Self::Pictures(data, _, channels) = self {
            assert_eq!(data.len(), channels * grid.pixels(), "{channels} channels of {grid:?}");
        }
        assert!(window.kernel * window.kernel <= MOST_TAPS, "{window:?} has more than {MOST_TAPS} taps");
        let fits = grid.height.min(grid.width) + 2 * window.padding >= window.kernel;
        assert!(fits && grid.height.min(grid.width) > 0, "{window:?} on {grid:?}");
    }

    /// Pictures have so few channels that a kernel's row is one run of depth; they are packed without gaps.
    fn gapless(&self) -> bool {
        matches!(self, Self::Pictures(..))
    }

    /// Fills `patch` with what `band` reads.
    #[inline(always)]
    pub(crate) fn fill<S: Simd<T = T>>(&self, simd: S, layout: &Layout, band: &Band, patch: &mut [T]) {
        let grid = self.grid();
        let Layout { window, columns, pixel, .. } = *layout;
        let packed = matches!(self, Self::PreActivation(..) | Self::Raw(..));
        if packed && columns == 1 && window == Window::POINT {
            // A column's pixels follow each other as a row's do.
            return self.fill_row(simd, band.image, band.rows.start, patch, pixel);
        }
        let inside = window.padding..(window.padding + grid.width).min(columns);
        let first = (band.rows.start * window.stride) as isize - window.padding as isize;
        for (r, row) in patch.chunks_exact_mut(columns * pixel).enumerate() {
            let y = first + r as isize;
            if y < 0 || y >= grid.height as isize {
                row.fill(T::zero());
                continue;
            }
            row[..inside.start * pixel].fill(T::zero());
            row[inside.end * pixel..].fill(T::zero());
            let row = &mut row[inside.start * pixel..inside.end * pixel];
            self.fill_row(simd, band.image, y as usize, row, pixel);
        }
    }

    /// As many pixels as `row` holds, from the start of row `y` of `image` on.
    #[inline(always)]
    fn fill_row<S: Simd<T = T>>(&self, simd: S, image: usize, y: usize, row: &mut [T], pixel: usize) {
        match *self {
            Self::PreActivation(maps, affine) => {
                let (grid, count) = (maps.grid(), row.len() / pixel);
                let pixels = ((image * grid.height + y) * grid.width, count);
                pre_activation(simd, (&maps, affine), pixels, 0..maps.channels(), (row, pixel));
            }
            Self::Pooled(maps, affine) => {
                let grid = maps.grid();
                for (first, width, map) in maps.iter() {
                    let from = &map[(image * grid.height + 2 * y) * grid.width * width..][..2 * grid.width * width];
                    pool(simd, from, affine.of(first, width), &mut row[first..], pixel);
                }
            }
            Self::Raw(data, grid, channels) => {
                let from = &data[(image * grid.height + y) * grid.width * channels..];
                for (from, to) in from.chunks_exact(channels).zip(row.chunks_exact_mut(pixel)) {
                    to[..channels].copy_from_slice(from);
                }
            }
            Self::Pictures(data, grid, channels) => {
                for c in 0..channels {
                    let from = &data[((image * channels + c) * grid.height + y) * grid.width..][..grid.width];
                    for (&from, to) in from.iter().zip(row.chunks_exact_mut(pixel)) {
                        to[c] = from;
                    }
                }
            }
        }
    }
}

impl<'a, T> Affine<'a, T> {
    /// That of `width` channels from `first` on.
    pub(crate) fn of(self, first: usize, width: usize) -> Self {
        Self { scale: &self.scale[first..first + width], shift: &self.shift[first..first + width] }
    }
}

/// `channels` of so many pixels of maps from pixel `first` on, normalised and rectified, to every `pixel`-th element of `to`.
#[inline(always)]
pub(crate) fn pre_activation<S: Simd>(
    simd: S,
    (maps, affine): (&Maps<'_, S::T>, Affine<'_, S::T>),
    (first, count): (usize, usize),
    channels: Range<usize>,
    (to, pixel): (&mut [S::T], usize),
) {
    for (start, width, map) in maps.iter() {
        let (from, end) = (channels.start.max(start), channels.end.min(start + width));
        if from < end {
            let map = &map[first * width + from - start..];
            let to = &mut to[from - channels.start..];
            normalise(simd, map, affine.of(from, end - from), to, ((width, pixel), count));
        }
    }
}

/// Some channels of `count` pixels of `from`, normalised and rectified, into pixels of `to`; `steps` from one to the next.
#[inline(always)]
fn normalise<S: Simd>(
    simd: S,
    from: &[S::T],
    affine: Affine<'_, S::T>,
    to: &mut [S::T],
    (steps, count): ((usize, usize), usize),
) {
    let width = affine.scale.len();
    let mut start = 0;
    while start < width {
        let affine = (&affine.scale[start..], &affine.shift[start..]);
        let part = (&from[start..], &mut to[start..]);
        start += match (width - start) / S::LANES {
            0 => apart::rectify_lanes(simd, affine, part, steps, count),
            1 => apart::rectify::<S, 1>(simd, affine, part, steps, count),
            2 | 3 => apart::rectify::<S, 2>(simd, affine, part, steps, count),
            _ => apart::rectify::<S, 4>(simd, affine, part, steps, count),
        };
    }
}

/// Two rows of pixels, normalised, rectified and averaged two by two.
#[inline(always)]
fn pool<S: Simd>(simd: S, rows: &[S::T], affine: Affine<'_, S::T>, to: &mut [S::T], pixel: usize) {
    let width = affine.scale.len();
    let (upper, lower) = rows.split_at(rows.len() / 2);
    let (zero, quarter) = (simd.splat(S::T::default()), simd.splat(S::T::of(0.25)));
    for start in (0..width).step_by(S::LANES) {
        let lanes = start..(start + S::LANES).min(width);
        let (scale, shift) = (simd.load(&affine.scale[lanes.clone()]), simd.load(&affine.shift[lanes.clone()]));
        let pairs = upper.chunks_exact(2 * width).zip(lower.chunks_exact(2 * width));
        for ((upper, lower), to) in pairs.zip(to.chunks_mut(pixel)) {
            let mut sum = zero;
            for from in [upper, &upper[width..], lower, &lower[width..]] {
                let z = simd.mul_add(simd.load(&from[lanes.clone()]), scale, shift);
                sum = simd.add(sum, simd.max(zero, z));
            }
            simd.store(simd.mul(sum, quarter), &mut to[lanes.clone()]);
        }
    }
}

/// Most runs of depth that a product takes: a 7x7 kernel, or as many rows.
pub(crate) const MOST_TAPS: usize = 64;

/// Where the pixels of a patch lie.
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
    /// Length of a run of depth: the channels of a tap, or of a whole kernel row where pixels have no gaps.
    pub depth: usize,
    /// Runs of depth in a row of the kernel.
    runs: usize,
}

impl Layout {
    /// The layout for `window` over `input`.
    pub fn new<T: Dispatch>(input: &Input<'_, T>, window: Window) -> Self {
        input.check(window);
        let channels = input.channels();
        let outputs = window.output(input.grid()).width;
        let (pixel, depth, runs) = match input.gapless() {
            true => (channels, channels * window.kernel, 1),
            // A gap of a cache line keeps neighbouring pixels out of the same cache set.
            false => (channels.next_multiple_of(16) + 16, channels, window.kernel),
        };
        Self { window, columns: window.reach(outputs), pixel, outputs, depth, runs }
    }

    /// Elements that `rows` output rows read.
    pub fn len(&self, rows: usize) -> usize {
        self.window.reach(rows) * self.columns * self.pixel
    }

    /// Elements that one more output row reads.
    pub fn row(&self) -> usize {
        self.window.stride * self.columns * self.pixel
    }

    /// Elements from one output pixel's input to the next one's.
    pub fn step(&self) -> usize {
        self.window.stride * self.pixel
    }

    /// Starts of the runs of depth of one output pixel, in the order of the weights' rows; how many there are.
    pub fn taps(&self) -> ([usize; MOST_TAPS], usize) {
        let mut taps = [0; MOST_TAPS];
        let count = self.window.kernel * self.runs;
        for (t, tap) in taps[..count].iter_mut().enumerate() {
            *tap = (t / self.runs * self.columns + t % self.runs) * self.pixel;
        }
        (taps, count)
    }

    /// Starts of the input of `rows` rows of output, and the pixels that follow each start.
    pub fn lines<'a>(&self, rows: usize, lines: &'a mut [usize]) -> (&'a [usize], usize) {
        if self.window == Window::POINT {
            return (&lines[..1], rows * self.outputs);
        }
        for (r, line) in lines[..rows].iter_mut().enumerate() {
            *line = r * self.row();
        }
        (&lines[..rows], self.outputs)
    }

    /// Cuts `rows` rows of output into runs of at most `most` pixels: start in the patch, first pixel, pixels.
    pub fn runs(&self, rows: usize, most: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        // Rows of a 1x1 convolution follow each other without borders, so that runs may span them.
        let (rows, outputs) =
            if self.window == Window::POINT { (1, rows * self.outputs) } else { (rows, self.outputs) };
        let Self { window, columns, pixel, .. } = *self;
        let count = outputs.div_ceil(most);
        let cut = move |i: usize| i * outputs / count;
        (0..rows).flat_map(move |y| {
            (0..count).map(move |i| {
                let run: Range<usize> = cut(i)..cut(i + 1);
                let start = (y * columns + run.start) * window.stride * pixel;
                (start, y * outputs + run.start, run.len())
            })
        })
    }
}

//! Pooling of bytes.

use std::ops::Range;

use crate::parallel::Partition;
use crate::shapes::Grid;
use crate::simd::dispatch_integers;
use crate::simd::integer::{IntegerOperation, IntegerSimd};
use crate::simd::strided::MatrixMut;
use crate::stem::Pool;

/// Channels that are averaged at a time.
const CHANNELS: usize = 64;

/// Pools maps `[image][y][x][channel]` of bytes with a zero point of 0. A mean is rounded, and padding counts as zeros
/// in it.
///
/// # Panics
/// If the numbers of pixels in `maps` or `output` do not match `grid` and `by`.
pub fn pool(maps: &[u8], grid: Grid, channels: usize, by: Pool, output: &mut [u8]) {
    let (window, pooled) = (by.window(), by.window().output(grid));
    assert_eq!(maps.len(), grid.pixels() * channels, "{channels} channels of {grid:?}");
    assert_eq!(output.len(), pooled.pixels() * channels, "{channels} channels of {pooled:?}");
    // The size of a row block is given in elements of `f32`.
    let row = (window.stride * grid.width * channels).div_ceil(size_of::<f32>());
    let (partition, _) = Partition::new(pooled, row).for_threads(rayon::current_num_threads(), 1);
    partition.run(MatrixMut::new(output, channels, channels), &|block, output| {
        let map = &maps[block.image * grid.height * grid.width * channels..];
        let first = block.rows.start * pooled.width;
        dispatch_integers(Block { map, grid, channels, by, first, output });
    });
}

/// Some pixels of the output.
struct Block<'a> {
    /// The map, from the start of the image that contains the first of them.
    map: &'a [u8],
    grid: Grid,
    channels: usize,
    by: Pool,
    /// The first of them, counted in the image.
    first: usize,
    output: MatrixMut<'a, u8>,
}

impl IntegerOperation for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) {
        let Self { map, grid, channels, by, first, mut output } = self;
        let window = by.window();
        let width = window.output(grid).width;
        let share = 1.0 / (window.kernel * window.kernel) as f32;
        for i in 0..output.rows() {
            let (y, x) = ((first + i) / width, (first + i) % width);
            let (rows, columns) = (window.inputs(y, grid.height), window.inputs(x, grid.width));
            let pixels = Pixels { map, width: grid.width, channels, rows, columns };
            match by {
                Pool::Max(_) => pixels.largest(output.row(i)),
                Pool::Average(_) => pixels.mean(share, output.row(i)),
            }
        }
    }
}

/// The pixels of a window.
struct Pixels<'a> {
    map: &'a [u8],
    /// Pixels in a row of the map.
    width: usize,
    channels: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Pixels<'a> {
    /// Calls `f` with the bytes of each pixel.
    #[inline(always)]
    fn for_each(&self, mut f: impl FnMut(&'a [u8])) {
        for y in self.rows.clone() {
            for x in self.columns.clone() {
                f(&self.map[(y * self.width + x) * self.channels..][..self.channels]);
            }
        }
    }

    /// The largest value of each channel.
    #[inline(always)]
    fn largest(&self, to: &mut [u8]) {
        to.fill(0);
        self.for_each(|pixel| {
            for (to, &byte) in to.iter_mut().zip(pixel) {
                *to = byte.max(*to);
            }
        });
    }

    /// The mean of each channel, where each pixel of a whole window contributes a `share`.
    #[inline(always)]
    fn mean(&self, share: f32, to: &mut [u8]) {
        for (part, to) in to.chunks_mut(CHANNELS).enumerate() {
            let mut sums = [0u32; CHANNELS];
            self.for_each(|pixel| {
                for (sum, &byte) in sums.iter_mut().zip(&pixel[part * CHANNELS..]) {
                    *sum += u32::from(byte);
                }
            });
            for (to, &sum) in to.iter_mut().zip(&sums) {
                *to = (sum as f32 * share).round_ties_even() as u8;
            }
        }
    }
}

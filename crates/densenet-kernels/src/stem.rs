//! What follows the stem's convolution: `maxpool(relu(bn(x)))`, in the ImageNet stem with a pooling of 3x3, stride 2 and
//! padding 1 (table 1 of the paper); with [`Window::POINT`] it is `relu(bn(x))`.

use std::ops::Range;

use rayon::prelude::*;

use crate::Element;
use crate::bands::{Band, Bands};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Simd};
use crate::maps::{Grid, Maps};
use crate::norm::{Lanes, MapNorm, Moments, NormGradient, Normalised};
use crate::patch::{Affine, Window};

/// The window of the ImageNet stem's pooling.
pub const POOL: Window = Window { kernel: 3, stride: 2, padding: 1 };

compiled! {
    /// Pooled maxima of `relu(scale * x + shift)` of one map, `[image][y][x][channel]`.
    pub fn forward<T>(maps: &Maps<'_, T>, affine: Affine<'_, T>, pool: Window, output: &mut [T]) {
        pool_bands(maps, pool).run((output, maps.channels()), (&mut [], 0), &|band, output, _| {
            T::dispatch(PoolBand { maps, affine, pool, band: &band, output });
        });
    }

    /// [`forward`], and the batch statistics of what it makes.
    pub fn forward_with_moments<T>(
        maps: &Maps<'_, T>,
        affine: Affine<'_, T>,
        pool: Window,
        output: &mut [T],
    ) -> Moments<T> {
        pool_bands(maps, pool).run_with_moments((output, maps.channels()), &|band, output| {
            T::dispatch(PoolBand { maps, affine, pool, band: &band, output });
        })
    }

    /// Takes the gradient of the pooled maxima back to the map: `gradient` gets `gamma * dz`, where `dz` goes to the first
    /// of the largest values of each window, and the sums over `dz` are returned, as in [`crate::conv::data_gradient`].
    pub fn backward<T>(
        reader: &Normalised<'_, T>,
        pool: Window,
        output_gradient: &[T],
        gradient: &mut [T],
    ) -> NormGradient<T> {
        let (grid, width) = (reader.maps.grid(), reader.maps.channels());
        let (plane, pooled) = (grid.height * grid.width * width, pool.output(grid));
        assert_eq!(gradient.len(), grid.images * plane, "gradient of {grid:?} by {width}");
        assert_eq!(output_gradient.len(), pooled.pixels() * width, "output gradient of {pooled:?} by {width}");
        let map = reader.maps.iter().next().expect("the stem makes one map");
        let norm = MapNorm::new(reader, map);
        let mut slots = vec![T::default(); grid.images * 2 * width];
        let images = gradient.par_chunks_mut(plane).zip(slots.par_chunks_mut(2 * width));
        images.enumerate().with_max_len(1).for_each(|(image, (gradient, sums))| {
            let map = &norm.map[image * plane..][..plane];
            let dy = &output_gradient[image * pooled.height * pooled.width * width..];
            T::dispatch(PoolBack { norm: &norm, grid, pool, map, dy, gradient, sums });
        });
        NormGradient::merge(&slots, &[width])
    }
}

fn pool_bands<T>(maps: &Maps<'_, T>, pool: Window) -> Bands {
    assert_eq!(maps.widths().len(), 1, "the stem makes one map");
    let grid = maps.grid();
    Bands::new(pool.output(grid), pool.stride * grid.width * maps.channels())
}

/// Input rows or columns under output row or column `o` of an input of `extent`.
fn under(pool: Window, o: usize, extent: usize) -> Range<usize> {
    let start = o * pool.stride;
    start.saturating_sub(pool.padding)..(start + pool.kernel - pool.padding).min(extent)
}

/// One band of pooled output.
struct PoolBand<'a, T> {
    maps: &'a Maps<'a, T>,
    affine: Affine<'a, T>,
    pool: Window,
    band: &'a Band,
    output: &'a mut [T],
}

impl<T: Element> Operation<T> for PoolBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { maps, affine, pool, band, output } = self;
        let (grid, width) = (maps.grid(), maps.channels());
        let pooled = pool.output(grid);
        let (_, _, map) = maps.iter().next().expect("the stem makes one map");
        let image = &map[band.image * grid.height * grid.width * width..][..grid.height * grid.width * width];
        let zero = simd.splat(T::zero());
        for (i, pixel) in output.chunks_exact_mut(width).enumerate() {
            let (y, x) = (band.rows.start + i / pooled.width, i % pooled.width);
            for start in (0..width).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(width);
                let (scale, shift) = (simd.load(&affine.scale[lanes.clone()]), simd.load(&affine.shift[lanes.clone()]));
                // `max` forgets a NaN that is not a window's last. None gets lost for that: the 7x7 convolution before
                // spreads a NaN of the picture over neighbours, and of two in a row one is some window's last.
                let mut most = zero;
                for row in under(pool, y, grid.height) {
                    for column in under(pool, x, grid.width) {
                        let value = simd.load(&image[(row * grid.width + column) * width..][lanes.clone()]);
                        most = simd.max(most, simd.mul_add(value, scale, shift));
                    }
                }
                simd.store(most, &mut pixel[lanes.clone()]);
            }
        }
    }
}

/// One image.
struct PoolBack<'a, T> {
    norm: &'a MapNorm<'a, T>,
    grid: Grid,
    pool: Window,
    map: &'a [T],
    dy: &'a [T],
    gradient: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Element> Operation<T> for PoolBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { norm, grid, pool, map, dy, gradient, sums } = self;
        let (width, pooled) = (norm.width, pool.output(grid));
        let row = grid.width * width;
        // Rows are cleared right before the first window over them is taken back.
        let mut cleared = 0;
        for (y, dy) in dy.chunks_exact(pooled.width * width).take(pooled.height).enumerate() {
            let rows = under(pool, y, grid.height);
            gradient[cleared * row..rows.end * row].fill(T::zero());
            cleared = rows.end;
            for (x, dy) in dy.chunks_exact(width).enumerate() {
                let pixels = Pixels { rows: rows.clone(), columns: under(pool, x, grid.width), row, width };
                for start in (0..width).step_by(S::LANES) {
                    let lanes = start..(start + S::LANES).min(width);
                    let dy = simd.load(&dy[lanes.clone()]);
                    let n = norm.load(simd, lanes.clone());
                    let both = window_back(simd, &n, &pixels, (map, &mut *gradient), (dy, lanes.clone()));
                    norm.add_sums(simd, lanes, both, sums);
                }
            }
        }
        gradient[cleared * row..].fill(T::zero());
    }
}

/// Where the pixels under a window lie.
struct Pixels {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Elements of a row.
    row: usize,
    /// Elements of a pixel.
    width: usize,
}

/// Takes the gradient `dy` of one window back: adds `gamma * dz` to the gradient, and returns the sums of `dz` and
/// `dz * (x - mean)`.
#[inline(always)]
fn window_back<S: Simd>(
    simd: S,
    norm: &Lanes<S>,
    Pixels { rows, columns, row, width }: &Pixels,
    (map, gradient): (&[S::T], &mut [S::T]),
    (dy, lanes): (S::V, Range<usize>),
) -> (S::V, S::V) {
    let zero = simd.splat(S::T::default());
    let mut most = zero;
    for y in rows.clone() {
        for x in columns.clone() {
            let x = simd.load(&map[y * row + x * width..][lanes.clone()]);
            most = simd.max(most, simd.mul_add(x, norm.scale, norm.shift));
        }
    }
    // A window without a value above zero passes nothing on; else the first of the largest takes all.
    let mut left = simd.select_gt(most, zero, dy, zero);
    let (sum, mut sum_deviation) = (left, zero);
    for y in rows.clone() {
        for x in columns.clone() {
            let at = y * row + x * width;
            let x = simd.load(&map[at..][lanes.clone()]);
            let dz = simd.select_gt(most, simd.mul_add(x, norm.scale, norm.shift), zero, left);
            left = simd.sub(left, dz);
            sum_deviation = simd.mul_add(dz, simd.sub(x, norm.mean), sum_deviation);
            let there = &mut gradient[at..][lanes.clone()];
            simd.store(simd.mul_add(norm.gamma, dz, simd.load(there)), there);
        }
    }
    (sum, sum_deviation)
}

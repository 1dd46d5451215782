//! What follows the stem's convolution: `maxpool(relu(bn(x)))`, in the ImageNet stem with a pooling of 3x3, stride 2 and
//! padding 1 (table 1 of the paper); with [`Window::POINT`] it is `relu(bn(x))`.

use std::ops::Range;

use rayon::prelude::*;

use crate::batch_norm::backward::MapNorm;
use crate::batch_norm::{Moments, NormGradient, Normalised, run_with_moments};
use crate::instantiate::instantiate;
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid, Window};
use crate::simd::pre_activation::NormLanes;
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Operation, Simd};

/// The window of the ImageNet stem's pooling.
pub const POOL: Window = Window { kernel: 3, stride: 2, padding: 1 };

instantiate! {
    /// Pooled maxima of `relu(scale * x + shift)` of one map, `[image][y][x][channel]`.
    pub fn forward<T>(maps: &FeatureMaps<'_, T>, affine: Affine<'_, T>, pool: Window, output: &mut [T]) {
        let forward = MaxPool { map: the_map(maps), grid: maps.grid(), affine, pool };
        let (partition, _) = forward.partition().for_threads(rayon::current_num_threads(), 1);
        let output = MatrixMut::new(output, maps.channels(), maps.channels());
        partition.run(output, &|block, output| forward.run_row_block(&block, output));
    }

    /// [`forward`], and the batch statistics of what it makes.
    pub fn forward_with_moments<T>(
        maps: &FeatureMaps<'_, T>,
        affine: Affine<'_, T>,
        pool: Window,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = MaxPool { map: the_map(maps), grid: maps.grid(), affine, pool };
        let output = MatrixMut::new(output, maps.channels(), maps.channels());
        run_with_moments(&forward.partition(), output, &|block, output| forward.run_row_block(&block, output))
    }

    /// Takes the gradient `dy` of the pooled maxima back to the map: `dx` gets `gamma * dz`, where `dz` goes to the first of
    /// the largest values of each window, and the sums over `dz` are returned, as in [`crate::direct::backward_data`].
    pub fn backward<T>(reader: &Normalised<'_, T>, pool: Window, dy: &[T], dx: &mut [T]) -> NormGradient<T> {
        let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
        let (plane, pooled) = (grid.height * grid.width * channels, pool.output(grid));
        assert_eq!(dx.len(), grid.images * plane, "gradient of {grid:?} by {channels}");
        assert_eq!(dy.len(), pooled.pixels() * channels, "output gradient of {pooled:?} by {channels}");
        let norm = MapNorm::new(reader, the_map(&reader.maps), true);
        let mut slots = vec![T::default(); grid.images * 2 * channels];
        let images = dx.par_chunks_mut(plane).zip(slots.par_chunks_mut(2 * channels));
        images.enumerate().with_max_len(1).for_each(|(image, (dx, sums))| {
            let x = &norm.map.data[image * plane..][..plane];
            let dy = &dy[image * pooled.height * pooled.width * channels..];
            T::dispatch(MaxPoolBackward { norm: &norm, grid, pool, x, dy, dx, sums });
        });
        NormGradient::merge(&slots, &[channels])
    }
}

/// The stem's one map.
fn the_map<'a, T>(maps: &FeatureMaps<'a, T>) -> FeatureMap<'a, T> {
    assert_eq!(maps.map_channels().len(), 1, "the stem makes one map");
    maps.iter().next().expect("one map")
}

/// Input rows or columns in the window of output row or column `o`, of an input of `extent`.
fn in_window(pool: Window, o: usize, extent: usize) -> Range<usize> {
    let start = o * pool.stride;
    start.saturating_sub(pool.padding)..(start + pool.kernel - pool.padding).min(extent)
}

/// Batch-norm, ReLU and max pooling of a map.
struct MaxPool<'a, T> {
    map: FeatureMap<'a, T>,
    grid: Grid,
    affine: Affine<'a, T>,
    pool: Window,
}

impl<T: Dispatch> MaxPool<'_, T> {
    fn partition(&self) -> Partition {
        Partition::new(self.pool.output(self.grid), self.pool.stride * self.grid.width * self.map.channels)
    }

    fn run_row_block(&self, block: &RowBlock, output: MatrixMut<'_, T>) {
        T::dispatch(MaxPoolBlock { pool: self, block, output });
    }
}

/// One row block of pooled output.
struct MaxPoolBlock<'a, T> {
    pool: &'a MaxPool<'a, T>,
    block: &'a RowBlock,
    output: MatrixMut<'a, T>,
}

impl<T: Scalar> Operation<T> for MaxPoolBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { pool: &MaxPool { map, grid, affine, pool }, block, mut output } = self;
        let (channels, pooled) = (map.channels, pool.output(grid));
        let plane = grid.height * grid.width * channels;
        let image = &map.data[block.image * plane..][..plane];
        let zero = simd.splat(T::zero());
        for i in 0..output.rows() {
            let (y, x) = (block.rows.start + i / pooled.width, i % pooled.width);
            let pixel = output.row(i);
            for start in (0..channels).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(channels);
                let (scale, shift) = (simd.load(&affine.scale[lanes.clone()]), simd.load(&affine.shift[lanes.clone()]));
                // `max` forgets a NaN that is not a window's last. None gets lost for that: the 7x7 convolution before
                // spreads a NaN of the picture over neighbours, and of two in a row one is some window's last.
                let mut most = zero;
                for row in in_window(pool, y, grid.height) {
                    for column in in_window(pool, x, grid.width) {
                        let value = simd.load(&image[(row * grid.width + column) * channels..][lanes.clone()]);
                        most = simd.max(most, simd.mul_add(value, scale, shift));
                    }
                }
                simd.store(most, &mut pixel[lanes.clone()]);
            }
        }
    }
}

/// The gradient of one image.
struct MaxPoolBackward<'a, T> {
    norm: &'a MapNorm<'a, T>,
    grid: Grid,
    pool: Window,
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Scalar> Operation<T> for MaxPoolBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { norm, grid, pool, x: map, dy, dx, sums } = self;
        let (channels, pooled) = (norm.map.channels, pool.output(grid));
        let row = grid.width * channels;
        // Rows are cleared right before the first window over them is taken back.
        let mut cleared = 0;
        for (y, dy) in dy.chunks_exact(pooled.width * channels).take(pooled.height).enumerate() {
            let rows = in_window(pool, y, grid.height);
            dx[cleared * row..rows.end * row].fill(T::zero());
            cleared = rows.end;
            for (x, dy) in dy.chunks_exact(channels).enumerate() {
                let window = Pixels { rows: rows.clone(), columns: in_window(pool, x, grid.width), row, channels };
                for start in (0..channels).step_by(S::LANES) {
                    let lanes = start..(start + S::LANES).min(channels);
                    let dy = simd.load(&dy[lanes.clone()]);
                    let n = norm.load(simd, lanes.clone());
                    let both = window_backward(simd, &n, &window, (map, &mut *dx), (dy, lanes.clone()));
                    norm.add_sums(simd, lanes, both, sums);
                }
            }
        }
        dx[cleared * row..].fill(T::zero());
    }
}

/// Where the pixels of a window lie.
struct Pixels {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Elements of a row.
    row: usize,
    /// Elements of a pixel.
    channels: usize,
}

/// Takes the gradient `dy` of one window back: adds `gamma * dz` to `dx`, and returns the sums of `dz` and
/// `dz * (x - mean)`.
#[inline(always)]
fn window_backward<S: Simd>(
    simd: S,
    norm: &NormLanes<S>,
    Pixels { rows, columns, row, channels }: &Pixels,
    (map, dx): (&[S::T], &mut [S::T]),
    (dy, lanes): (S::V, Range<usize>),
) -> (S::V, S::V) {
    let zero = simd.splat(S::T::default());
    let mut most = zero;
    for y in rows.clone() {
        for x in columns.clone() {
            let x = simd.load(&map[y * row + x * channels..][lanes.clone()]);
            most = simd.max(most, simd.mul_add(x, norm.scale, norm.shift));
        }
    }
    // A window without a value above zero passes nothing on; else the first of the largest takes all.
    let mut left = simd.select_le(most, zero, zero, dy);
    let (sum, mut sum_deviation) = (left, zero);
    for y in rows.clone() {
        for x in columns.clone() {
            let at = y * row + x * channels;
            let x = simd.load(&map[at..][lanes.clone()]);
            let z = simd.mul_add(x, norm.scale, norm.shift);
            let dz = simd.select_gt(most, z, zero, left);
            left = simd.select_gt(most, z, left, zero);
            sum_deviation = simd.mul_add(dz, simd.sub(x, norm.mean), sum_deviation);
            let dx = &mut dx[at..][lanes.clone()];
            simd.store(simd.mul_add(norm.gamma, dz, simd.load(dx)), dx);
        }
    }
    (sum, sum_deviation)
}

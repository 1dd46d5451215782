//! The operations after the stem's convolution: `pool(relu(bn(x)))`, which in the ImageNet stem takes the maximum of
//! 3x3 pixels with stride 2 and padding 1 (table 1 of the paper); with [`Pool::NONE`] it is `relu(bn(x))`.

use std::ops::Range;

use rayon::prelude::*;

use crate::batch_norm::backward::MapNorm;
use crate::batch_norm::{Moments, NormGradient, Normalised, run_with_moments};
use crate::instantiate::instantiate;
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid, Window};
use crate::simd::pre_activation::{NormLanes, SumLanes};
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Operation, Simd};

/// How the pixels of a window are combined. A window contains at least one, since padding is at most half of the
/// kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The maximum.
    Max(Window),
    /// The average, in which padding counts as zeros.
    Average(Window),
}

impl Pool {
    /// The pooling of the ImageNet stem.
    pub const IMAGENET: Self = Self::Max(Window { kernel: 3, stride: 2, padding: 1 });
    /// No pooling.
    pub const NONE: Self = Self::Max(Window::POINT);

    /// The window of pixels that are combined into one.
    pub fn window(self) -> Window {
        match self {
            Self::Max(window) | Self::Average(window) => window,
        }
    }

    /// Each pixel's share of an average over its window.
    fn share<T: Scalar>(self) -> T {
        let kernel = self.window().kernel;
        T::of(1.0 / (kernel * kernel) as f64)
    }
}

instantiate! {
    /// Pools `relu(scale * x + shift)` of one map, `[image][y][x][channel]`.
    pub fn forward<T>(maps: &FeatureMaps<'_, T>, affine: Affine<'_, T>, pool: Pool, output: &mut [T]) {
        let forward = Forward { map: the_map(maps), grid: maps.grid(), affine, pool };
        let (partition, _) = forward.partition().for_threads(rayon::current_num_threads(), 1);
        let output = MatrixMut::new(output, maps.channels(), maps.channels());
        partition.run(output, &|block, output| forward.run_row_block(&block, output));
    }

    /// [`forward`], and the batch statistics of its output.
    pub fn forward_with_moments<T>(
        maps: &FeatureMaps<'_, T>,
        affine: Affine<'_, T>,
        pool: Pool,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = Forward { map: the_map(maps), grid: maps.grid(), affine, pool };
        let output = MatrixMut::new(output, maps.channels(), maps.channels());
        run_with_moments(&forward.partition(), output, &|block, output| forward.run_row_block(&block, output))
    }

    /// Propagates the gradient `dy` of the output of [`forward`] back to the map: writes `gamma * dz` to `dx`, where
    /// `dz` goes to the first of the largest values of each window, or to all values of an averaged one, and returns
    /// the sums over `dz`, as in [`crate::direct::backward_data`].
    pub fn backward<T>(reader: &Normalised<'_, T>, pool: Pool, dy: &[T], dx: &mut [T]) -> NormGradient<T> {
        let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
        let (plane, pooled) = (grid.height * grid.width * channels, pool.window().output(grid));
        assert_eq!(dx.len(), grid.images * plane, "gradient of {grid:?} by {channels}");
        assert_eq!(dy.len(), pooled.pixels() * channels, "output gradient of {pooled:?} by {channels}");
        let norm = MapNorm::new(reader, the_map(&reader.maps), true);
        let mut slots = vec![T::default(); grid.images * 2 * channels];
        let images = dx.par_chunks_mut(plane).zip(slots.par_chunks_mut(2 * channels));
        images.enumerate().with_max_len(1).for_each(|(image, (dx, sums))| {
            let x = &norm.map.data[image * plane..][..plane];
            let dy = &dy[image * pooled.height * pooled.width * channels..];
            T::dispatch(Backward { norm: &norm, grid, pool, x, dy, dx, sums });
        });
        NormGradient::merge(&slots, &[channels])
    }
}

/// The stem's one map.
fn the_map<'a, T>(maps: &FeatureMaps<'a, T>) -> FeatureMap<'a, T> {
    assert_eq!(maps.map_channels().len(), 1, "the stem makes one map");
    maps.iter().next().expect("one map")
}

/// Where the pixels of a window are.
struct Pixels {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Elements of a row.
    row: usize,
    /// Elements of a pixel.
    channels: usize,
}

impl Pixels {
    /// The pixels in the window of the output pixel in row `y` and column `x`.
    #[inline(always)]
    fn of(window: Window, y: usize, x: usize, grid: Grid, channels: usize) -> Self {
        let rows = window.inputs(y, grid.height);
        Self { rows, columns: window.inputs(x, grid.width), row: grid.width * channels, channels }
    }
}

/// Batch-norm, ReLU and pooling of a map.
struct Forward<'a, T> {
    map: FeatureMap<'a, T>,
    grid: Grid,
    affine: Affine<'a, T>,
    pool: Pool,
}

impl<T: Dispatch> Forward<'_, T> {
    fn partition(&self) -> Partition {
        let window = self.pool.window();
        Partition::new(window.output(self.grid), window.stride * self.grid.width * self.map.channels)
    }

    fn run_row_block(&self, block: &RowBlock, output: MatrixMut<'_, T>) {
        T::dispatch(ForwardBlock { forward: self, block, output });
    }
}

/// One row block of pooled output.
struct ForwardBlock<'a, T> {
    forward: &'a Forward<'a, T>,
    block: &'a RowBlock,
    output: MatrixMut<'a, T>,
}

impl<T: Scalar> Operation<T> for ForwardBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { forward: &Forward { map, grid, affine, pool }, block, mut output } = self;
        let (channels, window, share) = (map.channels, pool.window(), simd.splat(pool.share()));
        let (width, plane) = (window.output(grid).width, grid.height * grid.width * channels);
        let image = &map.data[block.image * plane..][..plane];
        for i in 0..output.rows() {
            let pixels = Pixels::of(window, block.rows.start + i / width, i % width, grid, channels);
            let to = output.row(i);
            for start in (0..channels).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(channels);
                let affine = AffineLanes::load(simd, affine, lanes.clone());
                let value = match pool {
                    Pool::Max(_) => largest(simd, affine, &pixels, image, lanes.clone()),
                    Pool::Average(_) => simd.mul(share, sum(simd, affine, &pixels, image, lanes.clone())),
                };
                simd.store(value, &mut to[lanes]);
            }
        }
    }
}

/// Scales and shifts of one vector of channels.
#[derive(Clone, Copy)]
struct AffineLanes<S: Simd> {
    scale: S::V,
    shift: S::V,
}

impl<S: Simd> AffineLanes<S> {
    #[inline(always)]
    fn load(simd: S, affine: Affine<'_, S::T>, lanes: Range<usize>) -> Self {
        Self { scale: simd.load(&affine.scale[lanes.clone()]), shift: simd.load(&affine.shift[lanes]) }
    }
}

/// The largest `relu(scale * x + shift)` of a window.
#[inline(always)]
fn largest<S: Simd>(
    simd: S,
    AffineLanes { scale, shift }: AffineLanes<S>,
    Pixels { rows, columns, row, channels }: &Pixels,
    image: &[S::T],
    lanes: Range<usize>,
) -> S::V {
    // `max` drops a NaN unless it is the last value of a window. In the usual stems none is lost because of that: the
    // convolution before spreads a NaN of the picture over neighbours, one of which is the last value of some window.
    let mut most = simd.splat(S::T::default());
    for y in rows.clone() {
        for x in columns.clone() {
            let value = simd.load(&image[y * row + x * channels..][lanes.clone()]);
            most = simd.max(most, simd.mul_add(value, scale, shift));
        }
    }
    most
}

/// The sum of `relu(scale * x + shift)` over a window.
#[inline(always)]
fn sum<S: Simd>(
    simd: S,
    AffineLanes { scale, shift }: AffineLanes<S>,
    Pixels { rows, columns, row, channels }: &Pixels,
    image: &[S::T],
    lanes: Range<usize>,
) -> S::V {
    let zero = simd.splat(S::T::default());
    let mut sum = zero;
    for y in rows.clone() {
        for x in columns.clone() {
            let value = simd.load(&image[y * row + x * channels..][lanes.clone()]);
            sum = simd.add(sum, simd.max(zero, simd.mul_add(value, scale, shift)));
        }
    }
    sum
}

/// The gradient of one image.
struct Backward<'a, T> {
    norm: &'a MapNorm<'a, T>,
    grid: Grid,
    pool: Pool,
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Scalar> Operation<T> for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { norm, grid, pool, x: map, dy, dx, sums } = self;
        let (channels, window, share) = (norm.map.channels, pool.window(), simd.splat(pool.share()));
        let (pooled, row) = (window.output(grid), grid.width * channels);
        // Rows are cleared right before the first window over them is processed.
        let mut cleared = 0;
        for (y, dy) in dy.chunks_exact(pooled.width * channels).take(pooled.height).enumerate() {
            let end = window.inputs(y, grid.height).end;
            dx[cleared * row..end * row].fill(T::zero());
            cleared = end;
            for (x, dy) in dy.chunks_exact(channels).enumerate() {
                let pixels = Pixels::of(window, y, x, grid, channels);
                for start in (0..channels).step_by(S::LANES) {
                    let lanes = start..(start + S::LANES).min(channels);
                    let dy = simd.load(&dy[lanes.clone()]);
                    let n = norm.load(simd, lanes.clone());
                    let of_window = match pool {
                        Pool::Max(_) => largest_backward(simd, &n, &pixels, map, dx, dy, lanes.clone()),
                        Pool::Average(_) => {
                            sum_backward(simd, &n, &pixels, map, dx, simd.mul(share, dy), lanes.clone())
                        }
                    };
                    norm.add_sums(simd, lanes, of_window, sums);
                }
            }
        }
        dx[cleared * row..].fill(T::zero());
    }
}

/// Propagates the gradient `dy` of [`largest`] back: adds `gamma * dz` to `dx`.
#[inline(always)]
fn largest_backward<S: Simd>(
    simd: S,
    norm: &NormLanes<S>,
    pixels: &Pixels,
    map: &[S::T],
    dx: &mut [S::T],
    dy: S::V,
    lanes: Range<usize>,
) -> SumLanes<S> {
    let zero = simd.splat(S::T::default());
    let most = largest(simd, AffineLanes { scale: norm.scale, shift: norm.shift }, pixels, map, lanes.clone());
    // A window without a positive value passes nothing on; otherwise the first of the largest values receives the whole
    // gradient.
    let mut left = simd.select_le(most, zero, zero, dy);
    let mut sums = SumLanes { dz: left, dz_deviation: zero };
    for y in pixels.rows.clone() {
        for x in pixels.columns.clone() {
            let at = y * pixels.row + x * pixels.channels;
            let x = simd.load(&map[at..][lanes.clone()]);
            let z = simd.mul_add(x, norm.scale, norm.shift);
            let dz = simd.select_gt(most, z, zero, left);
            left = simd.select_gt(most, z, left, zero);
            sums.dz_deviation = simd.mul_add(dz, simd.sub(x, norm.mean), sums.dz_deviation);
            let dx = &mut dx[at..][lanes.clone()];
            simd.store(simd.mul_add(norm.gamma, dz, simd.load(dx)), dx);
        }
    }
    sums
}

/// Propagates the gradient `dy` of [`sum`] back, like [`largest_backward`].
#[inline(always)]
fn sum_backward<S: Simd>(
    simd: S,
    norm: &NormLanes<S>,
    pixels: &Pixels,
    map: &[S::T],
    dx: &mut [S::T],
    dy: S::V,
    lanes: Range<usize>,
) -> SumLanes<S> {
    let zero = simd.splat(S::T::default());
    let mut sums = SumLanes::zero(simd);
    for y in pixels.rows.clone() {
        for x in pixels.columns.clone() {
            let at = y * pixels.row + x * pixels.channels;
            let x = simd.load(&map[at..][lanes.clone()]);
            let dz = simd.select_le(simd.mul_add(x, norm.scale, norm.shift), norm.relu_bound, zero, dy);
            sums.add(simd, dz, simd.sub(x, norm.mean));
            let dx = &mut dx[at..][lanes.clone()];
            simd.store(simd.mul_add(norm.gamma, dz, simd.load(dx)), dx);
        }
    }
    sums
}

//! The end of the network: the last pre-activation and global pooling (section 3 of the paper).

use std::ops::Range;

use num_traits::Float;
use rayon::prelude::*;

use crate::batch_norm::backward::{MapNorm, MapNorms, Places, Tile, run_maps};
use crate::batch_norm::{NormGradient, Normalised, Write, relu_bound};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::parallel::Partition;
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid};
use crate::simd::pre_activation::NormLanes;
use crate::simd::strided::Matrix;
use crate::simd::{Dispatch, MAX_LANES, Operation, Simd};

/// How an image's last maps are reduced to its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Means over the pixels, `[channel]`.
    Average,
    /// Maxima over the pixels, `[channel]`.
    Max,
    /// All pixels, `[channel][y][x]`.
    Flatten,
}

impl Pool {
    /// Number of features of an image whose maps have this many `channels`.
    fn features(self, grid: Grid, channels: usize) -> usize {
        match self {
            Self::Average | Self::Max => channels,
            Self::Flatten => channels * grid.height * grid.width,
        }
    }
}

instantiate! {
    /// Pools `relu(scale * x + shift)` of each image, or without `relu` `scale * x + shift`, into `features`,
    /// `[image][feature]`.
    pub fn forward<T>(maps: &FeatureMaps<'_, T>, affine: Affine<'_, T>, relu: bool, pool: Pool, features: &mut [T]) {
        let (grid, lower_clamp) = (maps.grid(), relu_bound(relu));
        let count = pool.features(grid, maps.channels());
        assert_eq!(features.len(), grid.images * count, "features of {grid:?}");
        features.par_chunks_mut(count).enumerate().with_max_len(1).for_each(|(image, features)| {
            T::dispatch(Forward { maps, affine, lower_clamp, pool, image, features });
        });
    }

    /// Propagates the gradient `dy` of the features, `[image][feature]`, back to the maps: writes `gamma * dz` to `dx`,
    /// see [`crate::direct::backward_data`]. The gradient of a maximum goes to its first pixel.
    pub fn backward<T>(reader: &Normalised<'_, T>, relu: bool, pool: Pool, dy: &[T], dx: &mut [T]) -> NormGradient<T> {
        let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
        let (plane, count) = (grid.height * grid.width, pool.features(grid, channels));
        assert_eq!(dy.len(), grid.images * count, "gradient of the features of {grid:?}");
        let norms = MapNorm::all(reader, relu);
        run_maps(&Partition::images(grid), dx, reader.maps.map_channels(), &|block, dx, sums| {
            let image = block.rows.start;
            let dy = &dy[image * count..][..count];
            let maps = MapNorms { norms: &norms, first: image * plane, write: Write::Overwrite, dx, sums };
            T::scratch(plane * channels, |rows| T::dispatch(Backward { maps, pool, dy, plane, rows }));
        })
    }
}

/// The features of one image.
struct Forward<'a, T> {
    maps: &'a FeatureMaps<'a, T>,
    affine: Affine<'a, T>,
    lower_clamp: T,
    pool: Pool,
    image: usize,
    features: &'a mut [T],
}

impl<T: Scalar> Operation<T> for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { maps, affine, lower_clamp, pool, image, features } = self;
        let plane = maps.grid().height * maps.grid().width;
        let share = simd.splat(T::of(1.0 / plane as f64));
        for FeatureMap { first, channels, data } in maps.iter() {
            let data = &data[image * plane * channels..][..plane * channels];
            for start in (0..channels).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(channels);
                let all = first + lanes.start..first + lanes.end;
                let z = PreActivation {
                    scale: simd.load(&affine.scale[all.clone()]),
                    shift: simd.load(&affine.shift[all.clone()]),
                    lower_clamp: simd.splat(lower_clamp),
                    pixels: data,
                    channels,
                    lanes,
                };
                match pool {
                    Pool::Average => simd.store(simd.mul(z.sum(simd), share), &mut features[all]),
                    Pool::Max => simd.store(z.largest(simd), &mut features[all]),
                    Pool::Flatten => z.flatten(simd, &mut features[all.start * plane..all.end * plane]),
                }
            }
        }
    }
}

/// One vector of channels, or fewer, of the pre-activation of an image's map.
struct PreActivation<'a, S: Simd> {
    scale: S::V,
    shift: S::V,
    lower_clamp: S::V,
    /// The map, `[pixel][channel]`.
    pixels: &'a [S::T],
    /// The map's channels.
    channels: usize,
    /// The channels of the vector.
    lanes: Range<usize>,
}

impl<S: Simd> PreActivation<'_, S> {
    #[inline(always)]
    fn of(&self, simd: S, pixel: &[S::T]) -> S::V {
        simd.max(self.lower_clamp, simd.mul_add(simd.load(&pixel[self.lanes.clone()]), self.scale, self.shift))
    }

    #[inline(always)]
    fn sum(&self, simd: S) -> S::V {
        let mut sum = simd.splat(S::T::default());
        for pixel in self.pixels.chunks_exact(self.channels) {
            sum = simd.add(sum, self.of(simd, pixel));
        }
        sum
    }

    /// The largest value; NaN if any is NaN.
    #[inline(always)]
    fn largest(&self, simd: S) -> S::V {
        let mut most = simd.splat(S::T::neg_infinity());
        for pixel in self.pixels.chunks_exact(self.channels) {
            let z = self.of(simd, pixel);
            let larger = simd.select_gt(z, most, z, most);
            most = simd.select_le(z, z, larger, z);
        }
        most
    }

    /// All pixels of each channel, one channel after the other.
    #[inline(always)]
    fn flatten(&self, simd: S, to: &mut [S::T]) {
        let plane = self.pixels.len() / self.channels;
        let mut values = [S::T::default(); MAX_LANES];
        for (i, pixel) in self.pixels.chunks_exact(self.channels).enumerate() {
            simd.store(self.of(simd, pixel), &mut values);
            for (lane, to) in to.chunks_exact_mut(plane).enumerate() {
                to[i] = values[lane];
            }
        }
    }
}

/// The gradient of one image.
struct Backward<'a, 'b, T> {
    maps: MapNorms<'a, 'b, T>,
    pool: Pool,
    dy: &'a [T],
    plane: usize,
    /// Memory for the gradient of every pixel, `[pixel][channel]`.
    rows: &'a mut [T],
}

impl<T: Scalar> Operation<T> for Backward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { mut maps, pool, dy, plane, rows } = self;
        let (channels, all) = (rows.len() / plane, 0..maps.norms.len());
        match pool {
            Pool::Average => {
                let share = T::of(1.0 / plane as f64);
                rows.iter_mut().zip(dy).for_each(|(to, &dy)| *to = dy * share);
            }
            Pool::Max => {
                for norm in maps.norms {
                    to_largest(simd, norm, maps.first, dy, rows, channels);
                }
            }
            Pool::Flatten => {
                for (c, dy) in dy.chunks_exact(plane).enumerate() {
                    rows[c..].iter_mut().step_by(channels).zip(dy).for_each(|(to, &dy)| *to = dy);
                }
            }
        }
        // Every pixel of a mean has the same gradient, so all rows share the same memory.
        let ld = if pool == Pool::Average { 0 } else { channels };
        let places = Places { first: 0, outputs: plane, width: plane };
        let tile = Tile { dy: Matrix { data: rows, ld }, channels: 0..channels, pixels: plane, places };
        maps.backward::<S, 1>(simd, all, &tile);
    }
}

/// Writes the gradient `dy`, `[channel]`, of a map's maxima to the first pixel with the maximum, and zeros to the
/// others, in `rows`, `[pixel][channel]`, which have the `channels` of all maps. The image begins at pixel `first` of
/// the map.
#[inline(always)]
fn to_largest<S: Simd>(
    simd: S,
    norm: &MapNorm<'_, S::T>,
    first: usize,
    dy: &[S::T],
    rows: &mut [S::T],
    channels: usize,
) {
    let (zero, map) = (simd.splat(S::T::default()), norm.map);
    let pixels = &map.data[first * map.channels..][..rows.len() / channels * map.channels];
    for start in (0..map.channels).step_by(S::LANES) {
        let lanes = start..(start + S::LANES).min(map.channels);
        let all = map.first + lanes.start..map.first + lanes.end;
        let NormLanes { scale, shift, relu_bound, .. } = norm.load(simd, lanes.clone());
        let z = PreActivation { scale, shift, lower_clamp: relu_bound, pixels, channels: map.channels, lanes };
        let (most, mut left) = (z.largest(simd), simd.load(&dy[all.clone()]));
        for (pixel, row) in pixels.chunks_exact(map.channels).zip(rows.chunks_exact_mut(channels)) {
            let z = z.of(simd, pixel);
            simd.store(simd.select_gt(most, z, zero, left), &mut row[all.clone()]);
            left = simd.select_gt(most, z, left, zero);
        }
    }
}

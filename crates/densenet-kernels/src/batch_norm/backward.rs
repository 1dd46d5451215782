//! A reader's gradient on its way back through ReLU and the linear part of batch-norm.

use std::ops::Range;

use rayon::prelude::*;

use super::normalised::{NormGradient, Normalised, Write, relu_bound};
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, split_mut};
use crate::simd::Simd;
use crate::simd::pre_activation::{self, NormLanes, Pixels, SumLanes};
use crate::simd::strided::Matrix;

/// The part of a batch-norm that normalises one of its input maps.
pub(crate) struct MapNorm<'a, T> {
    /// The map.
    pub map: FeatureMap<'a, T>,
    /// The bound above which the ReLU after it passes a value; see [`relu_bound`].
    relu_bound: T,
    mean: &'a [T],
    inv_std: &'a [T],
    gamma: &'a [T],
    affine: Affine<'a, T>,
}

/// The gradient of some channels of a convolution's input, after batch-norm and ReLU, one row of `dy` per pixel.
#[derive(Clone)]
pub(crate) struct Tile<'a, T> {
    /// The gradients, `[pixel][channel]`.
    pub dy: Matrix<'a, T>,
    /// The channels.
    pub channels: Range<usize>,
    /// Number of pixels.
    pub pixels: usize,
    /// Where the pixels are in the maps.
    pub places: Places,
}

/// Destination of the gradients of a map and its batch-norm.
struct MapTarget<'a, T> {
    write: Write,
    /// The gradient of the map.
    dx: &'a mut [T],
    /// Sums of `dz` and `dz * xh`, `[2][channel]`.
    sums: &'a mut [T],
}

impl<'a, T: Scalar> MapNorm<'a, T> {
    /// One part for each map that `norm` reads, followed by a ReLU or not.
    pub fn all(norm: &Normalised<'a, T>, relu: bool) -> Vec<Self> {
        norm.maps.iter().map(|map| Self::new(norm, map, relu)).collect()
    }

    /// The part that normalises `map`, followed by a ReLU or not.
    pub fn new(norm: &Normalised<'a, T>, map: FeatureMap<'a, T>, relu: bool) -> Self {
        let channels = map.first..map.first + map.channels;
        Self {
            map,
            relu_bound: relu_bound(relu),
            mean: &norm.mean[channels.clone()],
            inv_std: &norm.inv_std[channels.clone()],
            gamma: &norm.gamma[channels.clone()],
            affine: norm.affine.channels(channels),
        }
    }

    /// Propagates a `tile`, whose channels are counted in the map, back to the pixels `x` of the map: each of `N`
    /// pixels (one, or the four that were averaged) gets an `N`-th of the tile's row.
    #[inline(always)]
    fn backward<S: Simd<T = T>, const N: usize>(&self, simd: S, tile: Tile<'_, T>, x: &[T], to: MapTarget<'_, T>) {
        let MapTarget { write, dx, sums } = to;
        for start in tile.channels.clone().step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(tile.channels.end);
            let norm = self.load(simd, lanes.clone());
            let dy = Matrix { data: &tile.dy.data[start - tile.channels.start..], ..tile.dy };
            let of_lanes = if N == 1 {
                let first = tile.places.first * self.map.channels + start;
                let (x, dx) = (&x[first..], &mut dx[first..]);
                let pixels = Pixels { dy, x, dx, ld: self.map.channels, count: tile.pixels, lanes: lanes.len() };
                pre_activation::backward(simd, norm, pixels, write == Write::Accumulate)
            } else {
                let tile = Tile { dy, channels: lanes.clone(), ..tile };
                self.backward_averaged::<S, N>(simd, norm, tile, x, dx, write)
            };
            self.add_sums(simd, lanes, of_lanes, sums);
        }
    }

    /// [`MapNorm::backward`] for one vector of channels of averaged pixels.
    #[inline(always)]
    fn backward_averaged<S: Simd<T = T>, const N: usize>(
        &self,
        simd: S,
        NormLanes { relu_bound, scale, shift, mean, gamma }: NormLanes<S>,
        tile: Tile<'_, T>,
        x: &[T],
        dx: &mut [T],
        write: Write,
    ) -> SumLanes<S> {
        let (zero, share) = (simd.splat(T::zero()), simd.splat(T::of(1.0 / N as f64)));
        let mut sums = SumLanes::zero(simd);
        for i in 0..tile.pixels {
            let dy = simd.mul(share, simd.load(&tile.dy.data[i * tile.dy.ld..][..tile.channels.len()]));
            for pixel in tile.places.of::<N>(i) {
                let at = pixel * self.map.channels + tile.channels.start;
                let at = at..at + tile.channels.len();
                pre_activation::prefetch_next(simd, &x[at.start..], &dx[at.start..]);
                let x = simd.load(&x[at.clone()]);
                let dz = simd.select_le(simd.mul_add(x, scale, shift), relu_bound, zero, dy);
                sums.add(simd, dz, simd.sub(x, mean));
                let before = if write == Write::Accumulate { simd.load(&dx[at.clone()]) } else { zero };
                simd.store(simd.mul_add(gamma, dz, before), &mut dx[at]);
            }
        }
        sums
    }

    /// Adds the sums over some pixels of one vector of channels to `sums` of `dz` and `dz * xh`, `[2][channel]`.
    #[inline(always)]
    pub fn add_sums<S: Simd<T = T>>(&self, simd: S, lanes: Range<usize>, of_lanes: SumLanes<S>, sums: &mut [T]) {
        let (beta, gamma) = sums.split_at_mut(self.map.channels);
        let (beta, gamma) = (&mut beta[lanes.clone()], &mut gamma[lanes.clone()]);
        simd.store(simd.add(of_lanes.dz, simd.load(beta)), beta);
        simd.store(simd.mul_add(of_lanes.dz_deviation, simd.load(&self.inv_std[lanes]), simd.load(gamma)), gamma);
    }

    /// The values of one vector of channels.
    #[inline(always)]
    pub fn load<S: Simd<T = T>>(&self, simd: S, lanes: Range<usize>) -> NormLanes<S> {
        NormLanes {
            relu_bound: simd.splat(self.relu_bound),
            scale: simd.load(&self.affine.scale[lanes.clone()]),
            shift: simd.load(&self.affine.shift[lanes.clone()]),
            mean: simd.load(&self.mean[lanes.clone()]),
            gamma: simd.load(&self.gamma[lanes]),
        }
    }
}

/// A row block of all maps that a batch-norm reads, and the destination of their gradients and sums.
pub(crate) struct MapNorms<'a, 'b, T> {
    /// The maps.
    pub norms: &'a [MapNorm<'a, T>],
    /// First pixel of the row block.
    pub first: usize,
    /// How gradients are written.
    pub write: Write,
    /// The row block of each map's gradient.
    pub dx: &'a mut [&'b mut [T]],
    /// Sums of `dz` and `dz * xh`, `[map][2][channel]`.
    pub sums: &'a mut [T],
}

impl<T: Scalar> MapNorms<'_, '_, T> {
    /// Numbers of the maps that contain some of `channels`, counted over all maps.
    pub fn holding(&self, channels: &Range<usize>) -> Range<usize> {
        let from = self.norms.partition_point(|norm| norm.map.first + norm.map.channels <= channels.start);
        from..self.norms.partition_point(|norm| norm.map.first < channels.end)
    }

    /// Propagates a tile, whose channels are counted over all maps, back to those `maps` that contain its channels:
    /// each of `N` pixels (one, or the four that were averaged) gets an `N`-th of the tile's row.
    #[inline(always)]
    pub fn backward<S: Simd<T = T>, const N: usize>(&mut self, simd: S, maps: Range<usize>, tile: &Tile<'_, T>) {
        for (norm, dx) in self.norms[maps.clone()].iter().zip(&mut self.dx[maps]) {
            let FeatureMap { first, channels, data } = norm.map;
            let (start, end) = (tile.channels.start.max(first), tile.channels.end.min(first + channels));
            let dy = Matrix { data: &tile.dy.data[start - tile.channels.start..], ..tile.dy };
            let tile = Tile { dy, channels: start - first..end - first, ..*tile };
            let sums = &mut self.sums[2 * first..2 * (first + channels)];
            let to = MapTarget { write: self.write, dx, sums };
            norm.backward::<S, N>(simd, tile, &data[self.first * channels..], to);
        }
    }
}

/// Where the rows of a tile of gradients are in the maps.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    /// Pixel of the tile's first row, counted in the convolution's input, after any pooling.
    pub first: usize,
    /// Pixels in a row of the convolution's input, after any pooling.
    pub outputs: usize,
    /// Pixels in a row of the map.
    pub width: usize,
}

impl Places {
    /// The map's pixels of tile row `i`: one, or the four that were averaged.
    #[inline(always)]
    fn of<const N: usize>(&self, i: usize) -> [usize; N] {
        let pixel = self.first + i;
        let mut places = [pixel; N];
        if N == 4 {
            let corner = pixel / self.outputs * 2 * self.width + pixel % self.outputs * 2;
            for (place, offset) in places.iter_mut().zip([0, 1, self.width, self.width + 1]) {
                *place = corner + offset;
            }
        }
        places
    }
}

/// A row block's part of each map's gradient, and its sums of `dz` and `dz * xh`, initially zero, `[map][2][channel]`.
pub(crate) struct BlockMaps<'a, T> {
    pub block: RowBlock,
    pub maps: Vec<&'a mut [T]>,
    pub sums: &'a mut [T],
}

/// Runs `work` on every row block with its part of each map of the gradients `dx`, and adds up the sums of `dz` and `dz
/// * xh`, initially zero, `[map][2][channel]`, that it leaves.
pub(crate) fn run_maps<T: Scalar>(
    partition: &Partition,
    dx: &mut [T],
    map_channels: &[usize],
    work: &(impl Fn(RowBlock, &mut [&mut [T]], &mut [T]) + Sync),
) -> NormGradient<T> {
    sum_maps(partition, dx, map_channels, |mut blocks| {
        blocks
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|BlockMaps { block, maps, sums }| work(block.clone(), maps, sums));
    })
}

/// Cuts each map of the gradients `dx` into row blocks, runs `work` on them, and adds up the resulting sums.
pub(crate) fn sum_maps<T: Scalar>(
    partition: &Partition,
    dx: &mut [T],
    map_channels: &[usize],
    work: impl FnOnce(Vec<BlockMaps<'_, T>>),
) -> NormGradient<T> {
    let slot = 2 * map_channels.iter().sum::<usize>();
    let blocks: Vec<RowBlock> = (0..partition.len()).map(|i| partition.get(i)).collect();
    let pixels = |block: &RowBlock| partition.pixels(block).len();
    let total = blocks.iter().map(pixels).sum();
    let mut slots = vec![T::zero(); blocks.len() * slot];
    let parts = blocks.into_iter().zip(slots.chunks_exact_mut(slot));
    let mut parts: Vec<_> =
        parts.map(|(block, sums)| BlockMaps { block, maps: Vec::with_capacity(map_channels.len()), sums }).collect();
    for (mut map, channels) in split_mut(dx, total, map_channels).into_iter().zip(map_channels) {
        for part in &mut parts {
            let (here, next) = map.split_at_mut(pixels(&part.block) * channels);
            part.maps.push(here);
            map = next;
        }
    }
    work(parts);
    NormGradient::merge(&slots, map_channels)
}

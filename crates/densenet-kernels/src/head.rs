//! The end of the network: the last pre-activation and global average pooling (section 3 of the paper).

use rayon::prelude::*;

use crate::batch_norm::backward::{MapNorm, MapNorms, Places, Tile, run_maps};
use crate::batch_norm::{NormGradient, Normalised, Write, relu_bound};
use crate::instantiate::instantiate;
use crate::parallel::Partition;
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps};
use crate::simd::strided::Matrix;
use crate::simd::{Dispatch, Operation, Simd};

instantiate! {
    /// Means over each image's pixels of `relu(scale * x + shift)`, into `pooled`, `[image][channel]`; without `relu`, of
    /// `scale * x + shift`.
    pub fn forward<T>(maps: &FeatureMaps<'_, T>, affine: Affine<'_, T>, relu: bool, pooled: &mut [T]) {
        let channels = maps.channels();
        assert_eq!(pooled.len(), maps.grid().images * channels, "pooled features of {:?}", maps.grid());
        pooled.par_chunks_mut(channels).enumerate().with_max_len(1).for_each(|(image, pooled)| {
            T::dispatch(GlobalPool { maps, affine, lower_clamp: relu_bound(relu), image, pooled });
        });
    }

    /// Takes the gradient `dy` of the pooled features, `[image][channel]`, back to the maps: `dx` gets `gamma * dz`, see
    /// [`crate::direct::backward_data`].
    pub fn backward<T>(reader: &Normalised<'_, T>, relu: bool, dy: &[T], dx: &mut [T]) -> NormGradient<T> {
        let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
        let plane = grid.height * grid.width;
        assert_eq!(dy.len(), grid.images * channels, "gradient of the pooled features of {grid:?}");
        let share = T::of(1.0 / plane as f64);
        let shares: Vec<T> = dy.iter().map(|&dy| dy * share).collect();
        let norms = MapNorm::all(reader, relu);
        run_maps(&Partition::images(grid), dx, reader.maps.map_channels(), &|block, dx, sums| {
            let image = block.rows.start;
            let dy = &shares[image * channels..][..channels];
            let maps = MapNorms { norms: &norms, first: image * plane, write: Write::Overwrite, dx, sums };
            T::dispatch(GlobalPoolBackward { maps, dy, plane });
        })
    }
}

/// The pooled features of one image.
struct GlobalPool<'a, T> {
    maps: &'a FeatureMaps<'a, T>,
    affine: Affine<'a, T>,
    lower_clamp: T,
    image: usize,
    pooled: &'a mut [T],
}

impl<T: Scalar> Operation<T> for GlobalPool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let grid = self.maps.grid();
        let plane = grid.height * grid.width;
        let (lower_clamp, share) = (simd.splat(self.lower_clamp), simd.splat(T::of(1.0 / plane as f64)));
        for FeatureMap { first, channels, data } in self.maps.iter() {
            let data = &data[self.image * plane * channels..][..plane * channels];
            for start in (0..channels).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(channels);
                let scale = simd.load(&self.affine.scale[first..][lanes.clone()]);
                let shift = simd.load(&self.affine.shift[first..][lanes.clone()]);
                let mut sum = simd.splat(T::zero());
                for pixel in data.chunks_exact(channels) {
                    let z = simd.mul_add(simd.load(&pixel[lanes.clone()]), scale, shift);
                    sum = simd.add(sum, simd.max(lower_clamp, z));
                }
                simd.store(simd.mul(sum, share), &mut self.pooled[first..][lanes]);
            }
        }
    }
}

/// The gradient of one image.
struct GlobalPoolBackward<'a, 'b, T> {
    maps: MapNorms<'a, 'b, T>,
    dy: &'a [T],
    plane: usize,
}

impl<T: Scalar> Operation<T> for GlobalPoolBackward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { mut maps, dy, plane } = self;
        let (channels, all) = (0..dy.len(), 0..maps.norms.len());
        let places = Places { first: 0, outputs: plane, width: plane };
        // Every pixel has the same gradient: a tile whose rows are all the same memory.
        let tile = Tile { dy: Matrix { data: dy, ld: 0 }, channels, pixels: plane, places };
        maps.backward::<S, 1>(simd, all, &tile);
    }
}

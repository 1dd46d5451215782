//! The end of the network: the last pre-activation and global average pooling (section 3 of the paper).

use rayon::prelude::*;

use crate::Element;
use crate::isa::{Dispatch, Operation, Simd};
use crate::maps::{Maps, split_mut};
use crate::norm::{MapNorm, Mode, NormGradient, Normalised, Places};
use crate::patch::Affine;

/// Below this nothing passes: the ReLU's zero, or nothing at all where there is none.
fn floor<T: Element>(relu: bool) -> T {
    if relu { T::zero() } else { T::neg_infinity() }
}

/// Means over each image's pixels of `relu(scale * x + shift)`, into `pooled`, `[image][channel]`; without `relu`, of
/// `scale * x + shift`.
pub fn forward<T: Dispatch>(maps: &Maps<'_, T>, affine: Affine<'_, T>, relu: bool, pooled: &mut [T]) {
    let channels = maps.channels();
    assert_eq!(pooled.len(), maps.grid().images * channels, "pooled features of {:?}", maps.grid());
    pooled.par_chunks_mut(channels).enumerate().with_max_len(1).for_each(|(image, pooled)| {
        T::dispatch(Pool { maps, affine, floor: floor(relu), image, pooled });
    });
}

/// One image.
struct Pool<'a, T> {
    maps: &'a Maps<'a, T>,
    affine: Affine<'a, T>,
    floor: T,
    image: usize,
    pooled: &'a mut [T],
}

impl<T: Element> Operation<T> for Pool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let grid = self.maps.grid();
        let plane = grid.height * grid.width;
        let (floor, share) = (simd.splat(self.floor), simd.splat(T::of(1.0 / plane as f64)));
        for (first, width, map) in self.maps.iter() {
            let map = &map[self.image * plane * width..][..plane * width];
            for start in (0..width).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(width);
                let scale = simd.load(&self.affine.scale[first..][lanes.clone()]);
                let shift = simd.load(&self.affine.shift[first..][lanes.clone()]);
                let mut sum = simd.splat(T::zero());
                for pixel in map.chunks_exact(width) {
                    let z = simd.mul_add(simd.load(&pixel[lanes.clone()]), scale, shift);
                    sum = simd.add(sum, simd.max(floor, z));
                }
                simd.store(simd.mul(sum, share), &mut self.pooled[first..][lanes]);
            }
        }
    }
}

/// Takes the gradient of `pooled`, `[image][channel]`, back to the maps: `gradient` gets `gamma * dz`, see
/// [`crate::conv::data_gradient`].
pub fn backward<T: Dispatch>(
    reader: &Normalised<'_, T>,
    relu: bool,
    pooled_gradient: &[T],
    gradient: &mut [T],
) -> NormGradient<T> {
    let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
    let plane = grid.height * grid.width;
    assert_eq!(pooled_gradient.len(), grid.images * channels, "gradient of the pooled features of {grid:?}");
    let sums: Vec<Vec<T>> = split_mut(gradient, grid.pixels(), reader.maps.widths())
        .into_iter()
        .zip(reader.maps.iter())
        .map(|(gradient, map)| {
            let (first, width, _) = map;
            let norm = MapNorm::new(reader, map);
            let mut slots = vec![T::zero(); grid.images * 2 * width];
            let images = gradient.par_chunks_mut(plane * width).zip(slots.par_chunks_mut(2 * width));
            images.enumerate().with_max_len(1).for_each(|(image, (gradient, sums))| {
                let dy = &pooled_gradient[image * channels + first..][..width];
                let map = &norm.map[image * plane * width..][..plane * width];
                T::dispatch(Back { norm: &norm, floor: floor(relu), dy, map, gradient, sums });
            });
            slots
        })
        .collect();
    NormGradient::merge(&sums, reader.maps.widths())
}

/// One image of one map.
struct Back<'a, T> {
    norm: &'a MapNorm<'a, T>,
    floor: T,
    dy: &'a [T],
    map: &'a [T],
    gradient: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Element> Operation<T> for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { norm, floor, dy, map, gradient, sums } = self;
        let plane = map.len() / norm.width;
        // Every pixel has the same gradient: rows of the tile that are no elements apart.
        let dy = (dy, 0, T::of(1.0 / plane as f64));
        let places = Places { first: 0, outputs: plane, width: plane };
        norm.back::<S, 1>(simd, (0..norm.width, plane, places), dy, (Mode::Set, floor), (map, gradient, sums));
    }
}

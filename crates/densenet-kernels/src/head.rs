//! The end of the network: the last pre-activation and global average pooling (section 3 of the paper).

use rayon::prelude::*;

use crate::Element;
use crate::bands::Bands;
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Simd};
use crate::maps::Maps;
use crate::norm::{MapNorm, MapNorms, Mode, NormGradient, Normalised, Places, passing};
use crate::patch::Affine;

compiled! {
    /// Means over each image's pixels of `relu(scale * x + shift)`, into `pooled`, `[image][channel]`; without `relu`, of
    /// `scale * x + shift`.
    pub fn forward<T>(maps: &Maps<'_, T>, affine: Affine<'_, T>, relu: bool, pooled: &mut [T]) {
        let channels = maps.channels();
        assert_eq!(pooled.len(), maps.grid().images * channels, "pooled features of {:?}", maps.grid());
        pooled.par_chunks_mut(channels).enumerate().with_max_len(1).for_each(|(image, pooled)| {
            T::dispatch(Pool { maps, affine, floor: passing(relu), image, pooled });
        });
    }

    /// Takes the gradient of `pooled`, `[image][channel]`, back to the maps: `gradient` gets `gamma * dz`, see
    /// [`crate::conv::data_gradient`].
    pub fn backward<T>(
        reader: &Normalised<'_, T>,
        relu: bool,
        pooled_gradient: &[T],
        gradient: &mut [T],
    ) -> NormGradient<T> {
        let (grid, channels) = (reader.maps.grid(), reader.maps.channels());
        let plane = grid.height * grid.width;
        assert_eq!(pooled_gradient.len(), grid.images * channels, "gradient of the pooled features of {grid:?}");
        let share = T::of(1.0 / plane as f64);
        let shares: Vec<T> = pooled_gradient.iter().map(|&gradient| gradient * share).collect();
        let norms = MapNorm::all(reader, relu);
        Bands::images(grid).run_maps((gradient, reader.maps.widths()), &|band, gradient, sums| {
            let image = band.rows.start;
            let dy = &shares[image * channels..][..channels];
            let maps = MapNorms { norms: &norms, first: image * plane, mode: Mode::Set, gradient, sums };
            T::dispatch(Back { maps, dy, plane });
        })
    }
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

/// One image.
struct Back<'a, 'b, T> {
    maps: MapNorms<'a, 'b, T>,
    dy: &'a [T],
    plane: usize,
}

impl<T: Element> Operation<T> for Back<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { mut maps, dy, plane } = self;
        let (columns, all) = (0..dy.len(), 0..maps.norms.len());
        let places = Places { first: 0, outputs: plane, width: plane };
        // Every pixel has the same gradient: rows of the tile that are no elements apart.
        maps.back::<S, 1>(simd, all, (columns, plane, places), (dy, 0));
    }
}

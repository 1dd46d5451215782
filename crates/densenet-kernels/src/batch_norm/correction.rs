//! Batch-norm's correction of a map's gradient, made once for all readers.

use std::ops::Range;

use rayon::prelude::*;

use crate::instantiate::instantiate;
use crate::scalar::Scalar;
use crate::shapes::pixels_of;
use crate::simd::{Dispatch, Operation, Simd};

/// The inputs of a map's correction, one value per channel.
#[derive(Clone, Copy, Debug)]
pub struct Correction<'a, T> {
    /// Batch means.
    pub mean: &'a [T],
    /// `1 / sqrt(variance + eps)`.
    pub inv_std: &'a [T],
    /// `S0`: the sum over readers of `gamma * sum(dz)`.
    pub s0: &'a [T],
    /// `S1`: the sum over readers of `gamma * sum(dz * xh)`.
    pub s1: &'a [T],
}

/// [`Correction`] of one vector of channels.
struct CorrectionLanes<S: Simd> {
    mean: S::V,
    inv_std: S::V,
    slope: S::V,
    constant: S::V,
}

impl<T: Scalar> Correction<'_, T> {
    /// A pixel's share of a whole `map`.
    fn share(&self, g: &[T], map: &[T]) -> T {
        let channels = self.mean.len();
        assert_eq!(g.len(), map.len(), "a map and its gradient");
        assert_eq!(map.len() % channels, 0, "a map of {channels} channels");
        T::of(channels as f64 / map.len() as f64)
    }

    /// The correction of some channels, if a pixel is `share` of all pixels.
    #[inline(always)]
    fn load<S: Simd<T = T>>(&self, simd: S, lanes: Range<usize>, share: T) -> CorrectionLanes<S> {
        let inv_std = simd.load(&self.inv_std[lanes.clone()]);
        let minus = simd.mul(inv_std, simd.splat(-share));
        CorrectionLanes {
            mean: simd.load(&self.mean[lanes.clone()]),
            inv_std,
            slope: simd.mul(simd.mul(simd.load(&self.s1[lanes.clone()]), inv_std), minus),
            constant: simd.mul(simd.load(&self.s0[lanes]), minus),
        }
    }
}

impl<S: Simd> CorrectionLanes<S> {
    /// The gradient of `x`, given the readers' summed gradient `g`.
    #[inline(always)]
    fn apply(&self, simd: S, g: S::V, x: S::V) -> S::V {
        let rest = simd.mul_add(simd.sub(x, self.mean), self.slope, self.constant);
        simd.mul_add(g, self.inv_std, rest)
    }
}

/// The readers' summed gradients `G` of a map, which are corrected as they are packed.
#[derive(Clone, Copy, Debug)]
pub struct Uncorrected<'a, T> {
    /// `G`, `[pixel][channel]`.
    pub g: &'a [T],
    /// The map.
    pub map: &'a [T],
    /// Its correction.
    pub correction: Correction<'a, T>,
}

impl<T: Scalar> Uncorrected<'_, T> {
    /// Channels of the map.
    pub fn channels(&self) -> usize {
        self.correction.mean.len()
    }

    /// The elements that are read to correct `pixels`; pixels past the end are left out.
    pub(crate) fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        [self.g, self.map].into_iter().map(move |map| pixels_of(map, self.channels(), &pixels))
    }

    /// Writes the corrected gradient of `pixels` of the map to pixels of `to`, `ld` elements from one to the next.
    #[inline(always)]
    pub(crate) fn finish<S: Simd<T = T>>(&self, simd: S, pixels: Range<usize>, to: &mut [T], ld: usize) {
        let (channels, share) = (self.channels(), self.correction.share(self.g, self.map));
        let elements = pixels.start * channels..pixels.end * channels;
        let (g, map) = (&self.g[elements.clone()], &self.map[elements]);
        for start in (0..channels).step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(channels);
            let correction = self.correction.load(simd, lanes.clone(), share);
            let pairs = g.chunks_exact(channels).zip(map.chunks_exact(channels));
            for ((g, x), to) in pairs.zip(to.chunks_mut(ld)) {
                let (g, x) = (simd.load(&g[lanes.clone()]), simd.load(&x[lanes.clone()]));
                simd.store(correction.apply(simd, g, x), &mut to[lanes.clone()]);
            }
        }
    }
}

/// Pixels per piece of work that goes over a map once.
const PIECE: usize = 512;

instantiate! {
    /// Turns `dx`, the readers' summed gradients `G` of one map, into the gradient of the map, in place.
    pub fn finish<T>(dx: &mut [T], map: &[T], correction: &Correction<'_, T>) {
        let (channels, share) = (correction.mean.len(), correction.share(dx, map));
        let pieces = dx.par_chunks_mut(PIECE * channels).zip(map.par_chunks(PIECE * channels));
        pieces.with_max_len(1).for_each(|(dx, map)| T::dispatch(Finish { dx, map, correction, share }));
    }
}

/// The correction of some pixels of a map, where each is `share` of all.
struct Finish<'a, T> {
    dx: &'a mut [T],
    map: &'a [T],
    correction: &'a Correction<'a, T>,
    share: T,
}

impl<T: Scalar> Operation<T> for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { dx, map, correction, share } = self;
        let channels = correction.mean.len();
        for start in (0..channels).step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(channels);
            let correction = correction.load(simd, lanes.clone(), share);
            for (dx, x) in dx.chunks_exact_mut(channels).zip(map.chunks_exact(channels)) {
                let dx = &mut dx[lanes.clone()];
                simd.store(correction.apply(simd, simd.load(dx), simd.load(&x[lanes.clone()])), dx);
            }
        }
    }
}

//! Batch-norm, taken apart: statistics once a feature map, its linear part in the readers, one correction a map.
//!
//! In training a channel has the same batch mean and variance for every layer that reads it, so they are taken once,
//! when it is made. Backwards, with `z = gamma * xh + beta` and `dz` the gradient at a reader, masked by its ReLU,
//!
//! ```text
//! G  = sum over readers of gamma * dz        added up in the readers' data gradients
//! S0 = sum over readers of gamma * sum(dz)   S1 = sum over readers of gamma * sum(dz * xh)
//! dx = (G - S0 / M - xh * S1 / M) / sigma    once, when all readers are done
//! ```
//!
//! with `M` the pixels of the batch: the textbook form at each reader, added up (it is linear in `dz`).

use std::ops::Range;

use rayon::prelude::*;

use crate::Element;
use crate::compiled::compiled;
use crate::isa::apart::{self, Pixels};
use crate::isa::{Dispatch, Operation, Simd};
use crate::maps::{Maps, run};
use crate::patch::Affine;
pub use crate::reference::batch_norm::{EPSILON, MOMENTUM};
/// Batch statistics, one of each a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments<T> {
    /// Means.
    pub mean: Vec<T>,
    /// Biased variances, those that normalise.
    pub variance: Vec<T>,
}

/// Mean and sum of squared deviations of a band, `[pixel][channel]`, into `[2][channel]`: in two passes over what the
/// cache still holds, so that large means cancel nothing.
pub(crate) fn band_moments<T: Dispatch>(pixels: &[T], slot: &mut [T]) {
    struct Band<'a, T>(&'a [T], &'a mut [T]);
    impl<T: Element> Operation<T> for Band<'_, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T = T>>(self, simd: S) {
            let Self(pixels, slot) = self;
            let width = slot.len() / 2;
            let mut start = 0;
            while start < width {
                start += S::LANES
                    * match (width - start).div_ceil(S::LANES) {
                        1 => moments_of::<S, 1>(simd, pixels, start, slot),
                        2 | 3 => moments_of::<S, 2>(simd, pixels, start, slot),
                        _ => moments_of::<S, 4>(simd, pixels, start, slot),
                    };
            }
        }
    }
    T::dispatch(Band(pixels, slot));
}

/// [`band_moments`] of `V` neighbouring vectors of channels from `start` on, together, so that one's sum need not wait for
/// the last to be added. Returns their number.
#[inline(always)]
fn moments_of<S: Simd, const V: usize>(simd: S, pixels: &[S::T], start: usize, slot: &mut [S::T]) -> usize {
    let width = slot.len() / 2;
    let (means, squares) = slot.split_at_mut(width);
    let (zero, scale) = (simd.splat(S::T::default()), simd.splat(S::T::of(1.0 / (pixels.len() / width) as f64)));
    let mut mean = [zero; V];
    for pixel in pixels.chunks_exact(width) {
        for (v, sum) in mean.iter_mut().enumerate() {
            *sum = simd.add(*sum, simd.load(&pixel[start + v * S::LANES..]));
        }
    }
    for mean in &mut mean {
        *mean = simd.mul(*mean, scale);
    }
    let (mut rests, mut sums) = ([zero; V], [zero; V]);
    for pixel in pixels.chunks_exact(width) {
        for v in 0..V {
            let deviation = simd.sub(simd.load(&pixel[start + v * S::LANES..]), mean[v]);
            rests[v] = simd.add(rests[v], deviation);
            sums[v] = simd.mul_add(deviation, deviation, sums[v]);
        }
    }
    for v in 0..V {
        let from = start + v * S::LANES;
        // Deviations from the true mean have no sum; what is left of it tells how far off the rounded one is.
        let off = simd.mul(rests[v], scale);
        simd.store(simd.add(mean[v], off), &mut means[from..]);
        simd.store(simd.sub(sums[v], simd.mul(rests[v], off)), &mut squares[from..]);
    }
    V
}

impl<T: Element> Moments<T> {
    /// Merges the bands' means and squared deviations, `[band][2][width]`, where band `i` has `pixels[i]` pixels (Chan,
    /// Golub and LeVeque 1979), in order and in double precision.
    pub(crate) fn merge(slots: &[T], width: usize, pixels: impl Iterator<Item = usize> + Clone) -> Self {
        let channel = |c: usize| {
            let (mut count, mut mean, mut square) = (0.0, 0.0, 0.0);
            for (slot, pixels) in slots.chunks_exact(2 * width).zip(pixels.clone()) {
                let here = pixels as f64;
                let delta = slot[c].f64() - mean;
                count += here;
                mean += delta * here / count;
                square += slot[width + c].f64() + delta * delta * (count - here) * here / count;
            }
            (T::of(mean), T::of(square / count))
        };
        let (mean, variance) = (0..width).map(channel).unzip();
        Self { mean, variance }
    }

    /// Appends those of another map.
    pub fn extend(&mut self, other: &Self) {
        self.mean.extend_from_slice(&other.mean);
        self.variance.extend_from_slice(&other.variance);
    }
}

/// `1 / sqrt(variance + EPSILON)`.
pub fn inv_std<T: Element>(variance: &[T]) -> Vec<T> {
    variance.iter().map(|v| T::of(1.0 / (v.f64() + EPSILON).sqrt())).collect()
}

/// Scale and shift of `gamma * (x - mean) * inv_std + beta`, one of each a channel.
pub fn affine<T: Element>(gamma: &[T], beta: &[T], mean: &[T], inv_std: &[T]) -> (Vec<T>, Vec<T>) {
    let scale: Vec<T> = gamma.iter().zip(inv_std).map(|(&g, &s)| g * s).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((&b, &m), &s)| b - m * s).collect();
    (scale, shift)
}

/// A batch-norm as its reader's backward pass needs it, one value a channel that it reads.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a, T> {
    /// The feature maps that it reads.
    pub maps: Maps<'a, T>,
    /// Batch means of the maps.
    pub mean: &'a [T],
    /// `1 / sqrt(variance + eps)` of the maps.
    pub inv_std: &'a [T],
    /// Scale gamma.
    pub gamma: &'a [T],
    /// `z = scale * x + shift`, as the forward pass took it.
    pub affine: Affine<'a, T>,
}

/// How a reader's input gradient meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is the first of the readers to be visited: `=`.
    Set,
    /// `+=`.
    Add,
}

/// Gradients of a batch-norm's scale and shift.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradient<T> {
    /// `sum(dz * xh)`, one a channel.
    pub gamma: Vec<T>,
    /// `sum(dz)`, one a channel.
    pub beta: Vec<T>,
}

impl<T: Element> NormGradient<T> {
    /// Adds up the bands' sums, `[band][map][dz, dz * xh][channel]`, in order and in double precision.
    pub(crate) fn merge(sums: &[T], widths: &[usize]) -> Self {
        let mut totals = vec![0.0; 2 * widths.iter().sum::<usize>()];
        for band in sums.chunks_exact(totals.len()) {
            totals.iter_mut().zip(band).for_each(|(total, sum)| *total += sum.f64());
        }
        let (mut beta, mut gamma, mut totals) = (Vec::new(), Vec::new(), totals.as_slice());
        for &width in widths {
            let (map, behind) = totals.split_at(2 * width);
            beta.extend(map[..width].iter().map(|&total| T::of(total)));
            gamma.extend(map[width..].iter().map(|&total| T::of(total)));
            totals = behind;
        }
        Self { gamma, beta }
    }
}

/// What a ReLU passes lies above this; without one (`relu` false) everything does.
pub(crate) fn passing<T: Element>(relu: bool) -> T {
    if relu { T::zero() } else { T::neg_infinity() }
}

/// [`Normalised`], for one of its maps.
pub(crate) struct MapNorm<'a, T> {
    /// Its first channel among those that the batch-norm reads.
    pub first: usize,
    /// Channels of the map.
    pub width: usize,
    /// The map.
    pub map: &'a [T],
    /// What the ReLU behind it passes lies above this; see [`passing`].
    floor: T,
    mean: &'a [T],
    inv_std: &'a [T],
    gamma: &'a [T],
    affine: Affine<'a, T>,
}

/// Part of a map: its elements, its gradient, and the sums of `dz` and `dz * xh`, `[2][width]`.
pub(crate) type Part<'a, T> = (&'a [T], &'a mut [T], &'a mut [T]);

impl<'a, T: Element> MapNorm<'a, T> {
    /// Those of all maps, with a ReLU behind them if `relu`.
    pub fn all(norm: &Normalised<'a, T>, relu: bool) -> Vec<Self> {
        norm.maps.iter().map(|map| Self { floor: passing(relu), ..Self::new(norm, map) }).collect()
    }

    /// That of the map whose first channel is number `first` of those that `norm` reads, with a ReLU behind it.
    pub fn new(norm: &Normalised<'a, T>, (first, width, map): (usize, usize, &'a [T])) -> Self {
        let channels = first..first + width;
        Self {
            first,
            width,
            map,
            floor: passing(true),
            mean: &norm.mean[channels.clone()],
            inv_std: &norm.inv_std[channels.clone()],
            gamma: &norm.gamma[channels.clone()],
            affine: Affine { scale: &norm.affine.scale[channels.clone()], shift: &norm.affine.shift[channels] },
        }
    }

    /// Takes a tile of gradients behind the ReLU, rows `row` elements apart in `dy`, back to `columns` of the map: each of
    /// `N` pixels, one or the four that were averaged, gets an `N`-th of tile row `i`; `places` tells which.
    #[inline(always)]
    pub fn back<S: Simd<T = T>, const N: usize>(
        &self,
        simd: S,
        (columns, rows, places): (Range<usize>, usize, Places),
        (dy, row): (&[T], usize),
        mode: Mode,
        (map, gradient, sums): Part<'_, T>,
    ) {
        for start in columns.clone().step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(columns.end);
            let norm = self.load(simd, lanes.clone());
            let dy = (&dy[start - columns.start..], row);
            let both = if N == 1 {
                let first = places.first * self.width + start;
                let (x, gradient) = (&map[first..], &mut gradient[first..]);
                let pixels = Pixels { dy, x, gradient, step: self.width, count: rows, lanes: lanes.len() };
                apart::back(simd, norm, pixels, mode == Mode::Add)
            } else {
                self.back_averaged::<S, N>(simd, (lanes.clone(), rows, places), norm, dy, mode, (map, gradient))
            };
            self.add_sums(simd, lanes, both, sums);
        }
    }

    /// [`MapNorm::back`] for one vector of channels of averaged pixels; returns the sums.
    #[inline(always)]
    fn back_averaged<S: Simd<T = T>, const N: usize>(
        &self,
        simd: S,
        (lanes, rows, places): (Range<usize>, usize, Places),
        Lanes { floor, scale, shift, mean, gamma }: Lanes<S>,
        (dy, row): (&[T], usize),
        mode: Mode,
        (map, gradient): (&[T], &mut [T]),
    ) -> (S::V, S::V) {
        let (zero, share) = (simd.splat(T::zero()), simd.splat(T::of(1.0 / N as f64)));
        let (mut sum, mut sum_deviation) = (zero, zero);
        for i in 0..rows {
            let dy = simd.mul(share, simd.load(&dy[i * row..][..lanes.len()]));
            for pixel in places.of::<N>(i) {
                let at = pixel * self.width + lanes.start..pixel * self.width + lanes.end;
                apart::ask_ahead(simd, &map[at.start..], &gradient[at.start..]);
                let x = simd.load(&map[at.clone()]);
                let dz = simd.select_gt(simd.mul_add(x, scale, shift), floor, dy, zero);
                sum = simd.add(sum, dz);
                sum_deviation = simd.mul_add(dz, simd.sub(x, mean), sum_deviation);
                let there = if mode == Mode::Add { simd.load(&gradient[at.clone()]) } else { zero };
                simd.store(simd.mul_add(gamma, dz, there), &mut gradient[at]);
            }
        }
        (sum, sum_deviation)
    }

    /// Adds sums of `dz` and `dz * (x - mean)` over some pixels to `sums`.
    #[inline(always)]
    pub fn add_sums<S: Simd<T = T>>(
        &self,
        simd: S,
        lanes: Range<usize>,
        (sum, deviation): (S::V, S::V),
        sums: &mut [T],
    ) {
        let (beta, gamma) = sums.split_at_mut(self.width);
        let (beta, gamma) = (&mut beta[lanes.clone()], &mut gamma[lanes.clone()]);
        simd.store(simd.add(sum, simd.load(beta)), beta);
        simd.store(simd.mul_add(deviation, simd.load(&self.inv_std[lanes]), simd.load(gamma)), gamma);
    }

    /// Some lanes of it.
    #[inline(always)]
    pub fn load<S: Simd<T = T>>(&self, simd: S, lanes: Range<usize>) -> Lanes<S> {
        Lanes {
            floor: simd.splat(self.floor),
            scale: simd.load(&self.affine.scale[lanes.clone()]),
            shift: simd.load(&self.affine.shift[lanes.clone()]),
            mean: simd.load(&self.mean[lanes.clone()]),
            gamma: simd.load(&self.gamma[lanes]),
        }
    }
}

/// A band of all maps that a batch-norm reads, and where their gradients and sums go.
pub(crate) struct MapNorms<'a, 'b, T> {
    /// The maps.
    pub norms: &'a [MapNorm<'a, T>],
    /// First pixel of the band.
    pub first: usize,
    /// How gradients meet what is there.
    pub mode: Mode,
    /// The band of each map's gradient.
    pub gradient: &'a mut [&'b mut [T]],
    /// Sums of `dz` and `dz * xh`, `[map][2][width]`.
    pub sums: &'a mut [T],
}

impl<T: Element> MapNorms<'_, '_, T> {
    /// Numbers of the maps that hold some of `columns`, channels counted over all maps.
    pub fn under(&self, columns: &Range<usize>) -> Range<usize> {
        let from = self.norms.partition_point(|norm| norm.first + norm.width <= columns.start);
        from..self.norms.partition_point(|norm| norm.first < columns.end)
    }

    /// [`MapNorm::back`] for `columns` of all maps, which are in the maps `under` them.
    #[inline(always)]
    pub fn back<S: Simd<T = T>, const N: usize>(
        &mut self,
        simd: S,
        under: Range<usize>,
        (columns, rows, places): (Range<usize>, usize, Places),
        (dy, row): (&[T], usize),
    ) {
        for (norm, gradient) in self.norms[under.clone()].iter().zip(&mut self.gradient[under]) {
            let start = columns.start.max(norm.first);
            let end = columns.end.min(norm.first + norm.width);
            let map = &norm.map[self.first * norm.width..];
            let sums = &mut self.sums[2 * norm.first..2 * (norm.first + norm.width)];
            let dy = (&dy[start - columns.start..], row);
            let at = (start - norm.first..end - norm.first, rows, places);
            norm.back::<S, N>(simd, at, dy, self.mode, (map, gradient, sums));
        }
    }
}

/// Some lanes of a batch-norm.
pub(crate) struct Lanes<S: Simd> {
    /// What the ReLU behind it passes lies above this.
    pub floor: S::V,
    /// Scales.
    pub scale: S::V,
    /// Shifts.
    pub shift: S::V,
    /// Means.
    pub mean: S::V,
    /// Scales gamma.
    pub gamma: S::V,
}

/// Where the rows of a tile of gradients go.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    /// Pixel of the tile's first row, counted in what the convolution saw.
    pub first: usize,
    /// Pixels in a row of what the convolution saw.
    pub outputs: usize,
    /// Pixels in a row of the map.
    pub width: usize,
}

impl Places {
    /// The map's pixels under tile row `i`: one, or the four that were averaged.
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

/// What a map's correction needs, one value a channel.
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

/// [`Correction`] of some lanes.
struct CorrectionLanes<S: Simd> {
    mean: S::V,
    inv_std: S::V,
    slope: S::V,
    constant: S::V,
}

impl<T: Element> Correction<'_, T> {
    /// The share of a pixel in all of a `map`.
    fn share(&self, gradient: &[T], map: &[T]) -> T {
        let width = self.mean.len();
        assert_eq!(gradient.len(), map.len(), "a map and its gradient");
        assert_eq!(map.len() % width, 0, "a map of {width} channels");
        T::of(width as f64 / map.len() as f64)
    }

    /// Some lanes of it, where a pixel is `share` of all.
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
    /// The gradient of `x`, of the readers' added gradient `g`.
    #[inline(always)]
    fn apply(&self, simd: S, g: S::V, x: S::V) -> S::V {
        let rest = simd.mul_add(simd.sub(x, self.mean), self.slope, self.constant);
        simd.mul_add(g, self.inv_std, rest)
    }
}

/// The readers' added gradients `G` of a map, whose correction is made by what reads them.
#[derive(Clone, Copy, Debug)]
pub struct Uncorrected<'a, T> {
    /// `G`, `[pixel][channel]`.
    pub gradient: &'a [T],
    /// The map.
    pub map: &'a [T],
    /// Its correction.
    pub correction: Correction<'a, T>,
}

impl<T: Element> Uncorrected<'_, T> {
    /// Channels of the map.
    pub fn width(&self) -> usize {
        self.correction.mean.len()
    }

    /// Those of `pixels` that there are, of both.
    pub(crate) fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        [self.gradient, self.map].into_iter().map(move |map| run(map, self.width(), &pixels))
    }

    /// The gradient of `pixels` of the map, to pixels of `to` that are `step` elements apart.
    #[inline(always)]
    pub(crate) fn finish<S: Simd<T = T>>(&self, simd: S, pixels: Range<usize>, to: &mut [T], step: usize) {
        let (width, share) = (self.width(), self.correction.share(self.gradient, self.map));
        let elements = pixels.start * width..pixels.end * width;
        let (gradient, map) = (&self.gradient[elements.clone()], &self.map[elements]);
        for start in (0..width).step_by(S::LANES) {
            let lanes = start..(start + S::LANES).min(width);
            let correction = self.correction.load(simd, lanes.clone(), share);
            let pairs = gradient.chunks_exact(width).zip(map.chunks_exact(width));
            for ((g, x), to) in pairs.zip(to.chunks_mut(step)) {
                let (g, x) = (simd.load(&g[lanes.clone()]), simd.load(&x[lanes.clone()]));
                simd.store(correction.apply(simd, g, x), &mut to[lanes.clone()]);
            }
        }
    }
}

/// Pixels of a piece of work that goes over a map once.
const PIECE: usize = 512;

compiled! {
    /// Turns `G`, the readers' added gradients of one map, into the gradient of the map, in place.
    pub fn finish<T>(gradient: &mut [T], map: &[T], correction: &Correction<'_, T>) {
        struct Piece<'a, T>(&'a mut [T], &'a [T], &'a Correction<'a, T>, T);
        impl<T: Element> Operation<T> for Piece<'_, T> {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd<T = T>>(self, simd: S) {
                let Self(gradient, map, correction, share) = self;
                let width = correction.mean.len();
                for start in (0..width).step_by(S::LANES) {
                    let lanes = start..(start + S::LANES).min(width);
                    let correction = correction.load(simd, lanes.clone(), share);
                    for (g, x) in gradient.chunks_exact_mut(width).zip(map.chunks_exact(width)) {
                        let g = &mut g[lanes.clone()];
                        simd.store(correction.apply(simd, simd.load(g), simd.load(&x[lanes.clone()])), g);
                    }
                }
            }
        }
        let (width, share) = (correction.mean.len(), correction.share(gradient, map));
        let pieces = gradient.par_chunks_mut(PIECE * width).zip(map.par_chunks(PIECE * width));
        pieces.with_max_len(1).for_each(|(gradient, map)| T::dispatch(Piece(gradient, map, correction, share)));
    }

    /// Sums over the pixels of `[pixel][channel]`: the gradient of a convolution's bias.
    pub fn column_sums<T>(pixels: &[T], width: usize) -> Vec<T> {
        struct Piece<'a, T>(&'a [T], &'a mut [T]);
        impl<T: Element> Operation<T> for Piece<'_, T> {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd<T = T>>(self, simd: S) {
                let Self(pixels, sums) = self;
                let width = sums.len();
                for start in (0..width).step_by(S::LANES) {
                    let lanes = start..(start + S::LANES).min(width);
                    let mut sum = simd.splat(T::zero());
                    for pixel in pixels.chunks_exact(width) {
                        sum = simd.add(sum, simd.load(&pixel[lanes.clone()]));
                    }
                    simd.store(sum, &mut sums[lanes]);
                }
            }
        }
        let mut slots = vec![T::default(); (pixels.len() / width).div_ceil(PIECE) * width];
        let pieces = slots.par_chunks_mut(width).zip(pixels.par_chunks(PIECE * width));
        pieces.with_max_len(1).for_each(|(sums, pixels)| T::dispatch(Piece(pixels, sums)));
        (0..width).map(|c| T::of(slots.iter().skip(c).step_by(width).map(|sum| sum.f64()).sum())).collect()
    }
}

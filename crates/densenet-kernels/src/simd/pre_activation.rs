//! The pre-activation `relu(scale * x + shift)` of neighbouring pixels, forward and backward, checked once for many.
#![allow(unsafe_code)]

use super::strided::{Matrix, MatrixMut, load, load_lanes};
use super::vector::Simd;
use crate::shapes::Affine;

/// Elements from a load to the line that is prefetched with it.
const PREFETCH_DISTANCE: usize = 512;

/// `max(0, scale * x + shift)` for `V` neighbouring vectors of channels, for as many pixels of `x` as `to` has rows.
/// Returns the number of channels.
#[inline(always)]
pub(crate) fn forward<S: Simd, const V: usize>(
    simd: S,
    Affine { scale, shift }: Affine<'_, S::T>,
    x: Matrix<'_, S::T>,
    mut to: MatrixMut<'_, S::T>,
) -> usize {
    let (pixels, channels) = (to.rows(), V * S::LANES);
    assert!(pixels >= 1 && channels <= to.columns(), "{channels} of {} channels", to.columns());
    assert!((pixels - 1) * x.ld + channels <= x.data.len(), "{pixels} pixels past the end");
    let zero = simd.splat(S::T::default());
    let (scale, shift) = (load::<S, V>(simd, V, scale, S::LANES), load::<S, V>(simd, V, shift, S::LANES));
    let (to, ld) = (to.as_mut_ptr(), to.ld());
    for i in 0..pixels {
        for v in 0..V {
            // SAFETY: the last vector of the last pixel ends inside `x` and `to`.
            unsafe {
                let x = x.data.as_ptr().add(i * x.ld + v * S::LANES);
                simd.prefetch(x.wrapping_add(PREFETCH_DISTANCE));
                let z = simd.mul_add(simd.load_unchecked(x), scale[v], shift[v]);
                simd.store_unchecked(simd.max(zero, z), to.add(i * ld + v * S::LANES));
            }
        }
    }
    channels
}

/// [`forward`] for the channels of `scale`, fewer than a vector has lanes.
#[inline(always)]
pub(crate) fn forward_lanes<S: Simd>(
    simd: S,
    Affine { scale, shift }: Affine<'_, S::T>,
    x: Matrix<'_, S::T>,
    mut to: MatrixMut<'_, S::T>,
) -> usize {
    let (pixels, lanes) = (to.rows(), scale.len());
    assert!((1..S::LANES).contains(&lanes) && lanes <= to.columns(), "not a part of a vector");
    assert!(pixels >= 1 && (pixels - 1) * x.ld + lanes <= x.data.len(), "{pixels} pixels past the end");
    let (zero, scale, shift) = (simd.splat(S::T::default()), simd.load(scale), simd.load(shift));
    let (to, ld) = (to.as_mut_ptr(), to.ld());
    for i in 0..pixels {
        // SAFETY: the last pixel's channels end inside `x` and `to`.
        unsafe {
            simd.prefetch(x.data.as_ptr().wrapping_add(i * x.ld + PREFETCH_DISTANCE));
            let x = load_lanes::<S, false>(simd, x.data.as_ptr().add(i * x.ld), lanes);
            let z = simd.max(zero, simd.mul_add(x, scale, shift));
            simd.store(z, std::slice::from_raw_parts_mut(to.add(i * ld), lanes));
        }
    }
    lanes
}

/// One vector of channels of a batch-norm, as its reader's backward pass needs it.
pub(crate) struct NormLanes<S: Simd> {
    /// The bound above which the ReLU passes a value.
    pub relu_bound: S::V,
    /// Scales of the linear part.
    pub scale: S::V,
    /// Shifts of the linear part.
    pub shift: S::V,
    /// Batch means.
    pub mean: S::V,
    /// Scales gamma.
    pub gamma: S::V,
}

/// Sums over pixels of one vector of channels.
#[derive(Clone, Copy)]
pub(crate) struct SumLanes<S: Simd> {
    /// Sum of `dz`.
    pub dz: S::V,
    /// Sum of `dz * (x - mean)`.
    pub dz_deviation: S::V,
}

impl<S: Simd> SumLanes<S> {
    /// The sums over no pixel.
    #[inline(always)]
    pub fn zero(simd: S) -> Self {
        let zero = simd.splat(S::T::default());
        Self { dz: zero, dz_deviation: zero }
    }

    /// Adds a pixel's `dz` and `x - mean`.
    #[inline(always)]
    pub fn add(&mut self, simd: S, dz: S::V, deviation: S::V) {
        self.dz = simd.add(self.dz, dz);
        self.dz_deviation = simd.mul_add(dz, deviation, self.dz_deviation);
    }
}

/// One vector of channels of some pixels, or fewer channels: the data of [`backward`].
pub(crate) struct Pixels<'a, T> {
    /// Gradient after the ReLU, one row per pixel.
    pub dy: Matrix<'a, T>,
    /// The batch-norm's input.
    pub x: &'a [T],
    /// Its gradient.
    pub dx: &'a mut [T],
    /// Elements from one pixel to the next in `x` and `dx`.
    pub ld: usize,
    /// Pixels.
    pub count: usize,
    /// Channels, a vector's lanes or fewer.
    pub lanes: usize,
}

/// With `dz` the gradient `dy` where the ReLU passes `scale * x + shift`, writes `gamma * dz` to `dx`, or adds it if
/// `accumulate`.
#[inline(always)]
pub(crate) fn backward<S: Simd>(
    simd: S,
    norm: NormLanes<S>,
    pixels: Pixels<'_, S::T>,
    accumulate: bool,
) -> SumLanes<S> {
    match (pixels.lanes == S::LANES, accumulate) {
        (true, true) => backward_lanes::<S, true, true>(simd, norm, pixels),
        (true, false) => backward_lanes::<S, true, false>(simd, norm, pixels),
        (false, true) => backward_lanes::<S, false, true>(simd, norm, pixels),
        (false, false) => backward_lanes::<S, false, false>(simd, norm, pixels),
    }
}

/// Prefetches the input of [`backward`] some pixels after the starts of `x` and `dx`.
#[inline(always)]
pub(crate) fn prefetch_next<S: Simd>(simd: S, x: &[S::T], dx: &[S::T]) {
    simd.prefetch_l2(x.as_ptr().wrapping_add(PREFETCH_DISTANCE));
    simd.prefetch_l2(dx.as_ptr().wrapping_add(PREFETCH_DISTANCE));
}

/// Pixels whose gradient is loaded before one of them is stored. A partial vector that was stored cannot be loaded for
/// some cycles, and processors treat the whole vector as stored, including the next pixel's part.
const TOGETHER: usize = 7;

#[inline(always)]
fn backward_lanes<S: Simd, const FULL: bool, const ADD: bool>(
    simd: S,
    norm: NormLanes<S>,
    mut pixels: Pixels<'_, S::T>,
) -> SumLanes<S> {
    let Pixels { dy, x, ref dx, ld, count, lanes } = pixels;
    let reach = |ld: usize| (count - 1) * ld + if FULL { S::LANES } else { lanes };
    assert!(count >= 1 && (1..=S::LANES).contains(&lanes), "{count} pixels of {lanes} channels");
    assert!(reach(dy.ld) <= dy.data.len(), "pixels past the end of the gradient");
    assert!(reach(ld) <= x.len() && reach(ld) <= dx.len(), "pixels past the end of the map");
    let (mut sums, mut first) = (SumLanes::zero(simd), 0);
    // SAFETY: the last pixel's lanes end inside all three.
    unsafe {
        while first + TOGETHER <= count {
            backward_pixels::<S, FULL, ADD, TOGETHER>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
        while first + 2 <= count {
            backward_pixels::<S, FULL, ADD, 2>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
        if first < count {
            backward_pixels::<S, FULL, ADD, 1>(simd, &norm, &mut pixels, &mut first, &mut sums);
        }
    }
    sums
}

/// [`backward`] for `N` pixels from `first` on, which moves past them.
///
/// # Safety
/// All of `pixels` must hold pixels of `lanes` elements to that of number `first + N - 1`, of a whole vector if `FULL`.
#[inline(always)]
unsafe fn backward_pixels<S: Simd, const FULL: bool, const ADD: bool, const N: usize>(
    simd: S,
    &NormLanes { relu_bound, scale, shift, mean, gamma }: &NormLanes<S>,
    Pixels { dy, x, dx, ld, lanes, .. }: &mut Pixels<'_, S::T>,
    first: &mut usize,
    sums: &mut SumLanes<S>,
) {
    let zero = simd.splat(S::T::default());
    let mut before = [zero; N];
    // SAFETY: the caller's.
    unsafe {
        for (i, before) in before.iter_mut().enumerate().filter(|_| ADD) {
            *before = load_lanes::<S, FULL>(simd, dx.as_ptr().add((*first + i) * *ld), *lanes);
        }
        for (i, before) in before.into_iter().enumerate() {
            let (from, to) = (x.as_ptr().add((*first + i) * *ld), dx.as_mut_ptr().add((*first + i) * *ld));
            simd.prefetch_l2(from.wrapping_add(PREFETCH_DISTANCE));
            simd.prefetch_l2(to.wrapping_add(PREFETCH_DISTANCE));
            let x = load_lanes::<S, FULL>(simd, from, *lanes);
            let dy = load_lanes::<S, FULL>(simd, dy.data.as_ptr().add((*first + i) * dy.ld), *lanes);
            let dz = simd.select_le(simd.mul_add(x, scale, shift), relu_bound, zero, dy);
            sums.add(simd, dz, simd.sub(x, mean));
            let value = simd.mul_add(gamma, dz, before);
            match FULL {
                true => simd.store_unchecked(value, to),
                false => simd.store(value, std::slice::from_raw_parts_mut(to, *lanes)),
            }
        }
    }
    *first += N;
}

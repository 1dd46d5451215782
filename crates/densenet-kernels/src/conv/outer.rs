//! Sums over pixels: what the weights' gradients consist of.

use rayon::prelude::*;

use crate::Element;
use crate::ahead::Ahead;
use crate::isa::{Dispatch, Product, Simd, Start};
use crate::panels::cut;

/// Where pixels lie: lines of `len` pixels that begin at `starts`, `step` elements from one pixel to the next.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub starts: &'a [usize],
    pub step: usize,
    pub len: usize,
}

/// Puts `start` and the products of each of `channels` neighbouring channels of `a` with each column of the panel `b`, which
/// has a row of `vectors` vectors for every pixel, summed over the pixels, into `copy`: `[channel][column]`, channels `padded`
/// elements apart. Asks for what is `ahead`.
#[inline(always)]
pub(crate) fn outer_products<S: Simd<T: Dispatch>>(
    simd: S,
    (a, pixels): (&[S::T], Lines<'_>),
    (b, vectors): (&[S::T], usize),
    (copy, padded, start): (&mut [S::T], usize, Start<'_, S::T>),
    channels: usize,
    ahead: &mut Ahead<'_, '_, S::T>,
) {
    let product = Product {
        a,
        row: 1,
        step: pixels.step,
        taps: pixels.starts,
        depth: pixels.len,
        b,
        rows: channels,
        vectors,
        columns: vectors * S::LANES,
        floor: S::T::of(f64::NEG_INFINITY),
        asks: false,
    };
    product.run(simd, start, (copy, padded), ahead);
}

/// Copies pixels of `out` channels, `step` elements apart, to panels, `[panel][pixel][width]`, zeros behind the last channel.
#[inline(always)]
pub(super) fn panels_of<S: Simd>(simd: S, (pixels, step): (&[S::T], usize), out: usize, mut panels: &mut [S::T]) {
    let count = pixels.len().div_ceil(step);
    for (first, columns, vectors) in cut(out, S::LANES) {
        let width = vectors * S::LANES;
        let (panel, behind) = std::mem::take(&mut panels).split_at_mut(count * width);
        panels = behind;
        for (from, to) in pixels.chunks(step).zip(panel.chunks_exact_mut(width)) {
            let from = &from[first..first + columns];
            for start in (0..width).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(columns);
                simd.store(simd.load(&from[lanes]), &mut to[start..start + S::LANES]);
            }
        }
    }
}

/// Puts sums, `[tap][channel][out]` and rows `padded` elements apart, into their places in `gradient`, `[out][channel][tap]`.
pub(super) fn transpose<T: Dispatch>(sums: &[T], padded: usize, (channels, taps): (usize, usize), gradient: &mut [T]) {
    let rows = channels * taps;
    gradient.par_chunks_mut(T::lanes() * rows).enumerate().for_each(|(group, gradient)| {
        for (k, sums) in sums[group * T::lanes()..].chunks(padded).enumerate() {
            let place = k % channels * taps + k / channels;
            for (weights, &sum) in gradient.chunks_exact_mut(rows).zip(sums) {
                weights[place] = sum;
            }
        }
    });
}

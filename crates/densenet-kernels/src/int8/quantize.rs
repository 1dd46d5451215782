//! Between numbers and bytes.

use rayon::prelude::*;

use crate::shapes::Affine;
use crate::simd::dispatch_integers;
use crate::simd::integer::{IntegerOperation, IntegerSimd};
use crate::simd::requantize::requantize;
use crate::simd::strided::{Matrix, MatrixMut};

/// Pixels that a thread takes at a time.
const PIXELS: usize = 256;

/// `round(scale * x + shift)` from 0 to 255 of pixels `x`, `[pixel][channel]`.
///
/// # Panics
/// `x` and `output` are not of whole pixels, or not as many.
pub fn quantize(x: &[f32], affine: Affine<'_, f32>, output: &mut [u8]) {
    let channels = affine.scale.len();
    assert!(x.len() == output.len() && x.len().is_multiple_of(channels), "pixels of {channels} channels");
    let parts = x.par_chunks(PIXELS * channels).zip(output.par_chunks_mut(PIXELS * channels));
    parts.for_each(|(x, output)| dispatch_integers(Quantize { x, affine, output }));
}

/// `scale * q + shift` of pixels `q`, `[pixel][channel]`.
///
/// # Panics
/// `q` and `output` are not of whole pixels, or not as many.
pub fn dequantize(q: &[u8], affine: Affine<'_, f32>, output: &mut [f32]) {
    let channels = affine.scale.len();
    assert!(q.len() == output.len() && q.len().is_multiple_of(channels), "pixels of {channels} channels");
    let parts = q.par_chunks(PIXELS * channels).zip(output.par_chunks_mut(PIXELS * channels));
    parts.for_each(|(q, output)| {
        for (q, output) in q.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
            for (((&q, output), scale), shift) in q.iter().zip(output).zip(affine.scale).zip(affine.shift) {
                *output = f32::from(q) * scale + shift;
            }
        }
    });
}

struct Quantize<'a> {
    x: &'a [f32],
    affine: Affine<'a, f32>,
    output: &'a mut [u8],
}

impl IntegerOperation for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) {
        let Self { x, affine, output } = self;
        let channels = affine.scale.len();
        requantize(simd, affine, Matrix { data: x, ld: channels }, MatrixMut::new(output, channels, channels));
    }
}

//! From bytes to numbers.

use rayon::prelude::*;

use crate::shapes::Affine;

/// Pixels that a thread processes at a time.
const PIXELS: usize = 256;

/// `scale * q + shift` for pixels `q`, `[pixel][channel]`.
///
/// # Panics
/// If `q` and `output` do not consist of the same number of whole pixels.
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

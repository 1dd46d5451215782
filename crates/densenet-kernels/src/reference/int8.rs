//! Int8 inference. A byte `q` of a map stands for `scale * (q - zero)`; activations have a zero point of 0.

use super::Shape4;
use super::conv::Conv;

/// `round(scale * x + shift)` from 0 to 255. The product and the sum are each rounded to `f32`, and halves are rounded
/// to the even integer.
pub fn requantize(x: f32, scale: f32, shift: f32) -> u8 {
    (x * scale + shift).clamp(0.0, 255.0).round_ties_even() as u8
}

/// [`requantize`] of the mean of four values, each of which is bounded at 0.
pub fn requantize_mean(x: [f32; 4], scale: f32, shift: f32) -> u8 {
    let sum: f32 = x.iter().fold(0.0, |sum, x| sum + (x * scale + shift).max(0.0));
    (sum * 0.25).min(255.0).round_ties_even() as u8
}

/// The bytes of pictures `x` `(N, C, H, W)` of `shape`, with `padding` zeros around them that are also converted to
/// bytes, with the scale and the shift of their channel.
pub fn picture_bytes(shape: Shape4, x: &[f32], padding: usize, scale: &[f32], shift: &[f32]) -> (Shape4, Vec<u8>) {
    let padded = Shape4 { h: shape.h + 2 * padding, w: shape.w + 2 * padding, ..shape };
    let mut values = vec![0.0; padded.len()];
    for ((from, _), (to, _)) in shape.planes().zip(padded.planes()) {
        for y in 0..shape.h {
            let row = &x[from + y * shape.w..][..shape.w];
            values[to + (y + padding) * padded.w + padding..][..shape.w].copy_from_slice(row);
        }
    }
    let channels = padded.planes().flat_map(|(_, c)| std::iter::repeat_n(c, padded.plane()));
    (padded, values.iter().zip(channels).map(|(&x, c)| requantize(x, scale[c], shift[c])).collect())
}

/// The sums of a convolution of `x` `(N, C, H, W)` of `shape` with `weight` `(O, C, K, K)`: `(N, O, H', W')`.
pub fn conv_sums(conv: &Conv, shape: Shape4, x: &[u8], weight: &[i8]) -> Vec<i32> {
    let mut sums = vec![0; conv.output(shape).len()];
    conv.for_each_product(shape, |i, j, k| sums[k] += i32::from(x[i]) * i32::from(weight[j]));
    sums
}

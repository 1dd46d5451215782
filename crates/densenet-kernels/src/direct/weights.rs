//! Convolution weights, packed, and the product that multiplies packed pixels by them.

use crate::gemm::{Brgemm, PackedWeights, Panel};
use crate::pack::Layout;
use crate::scalar::Scalar;
use crate::simd::Dispatch;

/// Packs convolution weights `[out][in][kernel][kernel]` for [`super::forward`].
pub fn pack_forward<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> PackedWeights<T> {
    let offsets = kernel * kernel;
    assert_eq!(weight.len(), out * input * offsets, "weights [{out}, {input}, {kernel}, {kernel}]");
    let element = |k: usize, j: usize| weight[(j * input + k % input) * offsets + k / input];
    PackedWeights::new(offsets * input, out, T::lanes(), element)
}

/// Packs convolution weights `[out][in][kernel][kernel]` for [`super::backward_data`]: rotated by half a turn, reading output
/// channels.
pub fn pack_backward<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> PackedWeights<T> {
    let offsets = kernel * kernel;
    assert_eq!(weight.len(), out * input * offsets, "weights [{out}, {input}, {kernel}, {kernel}]");
    let element = |k: usize, j: usize| weight[(k % out * input + j) * offsets + offsets - 1 - k / out];
    PackedWeights::new(offsets * out, input, T::lanes(), element)
}

/// The product of `m` neighbouring output pixels, whose packed input begins with `packed`, with a panel of weights: rows are
/// pixels, K is channels.
#[inline(always)]
pub(super) fn pixels_by_channels<'a, T: Scalar>(
    packed: &'a [T],
    layout: &Layout,
    m: usize,
    offsets: &'a [usize],
    panel: &Panel,
    b: &'a [T],
) -> Brgemm<'a, T> {
    Brgemm {
        a: packed,
        lda: layout.output_stride(),
        k_stride: 1,
        offsets,
        k: layout.k,
        b,
        m,
        vectors: panel.vectors,
        n: panel.n,
        lower_clamp: T::neg_infinity(),
        prefetch_c: false,
    }
}

//! Packed convolution weights, and the product of packed pixels with them.

use num_traits::Float;

use crate::gemm::{Brgemm, PackedWeights, Panel};
use crate::pack::{Layout, PackedFactors};
use crate::scalar::{Bf16, Precision, Scalar};
use crate::simd::Dispatch;

/// Packs convolution weights `[out][in][kernel][kernel]` for [`super::forward`], which does not round.
pub fn pack_forward<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> PackedWeights<T> {
    packed(weight, out, input, kernel)
}

/// Packs them for [`super::forward_bf16`], which multiplies pairs of input channels.
///
/// # Panics
/// If the number of input channels is odd.
pub fn pack_forward_bf16<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> PackedWeights<Bf16<T>> {
    packed(weight, out, input, kernel)
}

fn packed<P>(weight: &[P::Accumulator], out: usize, input: usize, kernel: usize) -> PackedWeights<P>
where
    P: PackedFactors<Accumulator: Dispatch>,
{
    let offsets = kernel * kernel;
    assert_eq!(weight.len(), out * input * offsets, "weights [{out}, {input}, {kernel}, {kernel}]");
    assert_eq!(input % P::K_GROUP, 0, "input channels in whole groups");
    let element = |k: usize, j: usize| P::weight(weight[(j * input + k % input) * offsets + k / input]);
    PackedWeights::new(offsets * input, out, P::Accumulator::lanes(), element)
}

/// Packs convolution weights `[out][in][kernel][kernel]` for [`super::backward_data`]: rotated by half a turn, with
/// output channels as input.
pub fn pack_backward<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> PackedWeights<T> {
    let offsets = kernel * kernel;
    assert_eq!(weight.len(), out * input * offsets, "weights [{out}, {input}, {kernel}, {kernel}]");
    let element = |k: usize, j: usize| weight[(k % out * input + j) * offsets + offsets - 1 - k / out];
    PackedWeights::new(offsets * out, input, T::lanes(), element)
}

/// The product of `m` neighbouring output pixels, whose packed input begins with `packed`, with a panel of weights:
/// rows are pixels, K is channels.
#[inline(always)]
pub(super) fn pixels_by_channels<'a, P: Precision<Accumulator: Scalar>>(
    packed: &'a [P::Input],
    layout: &Layout,
    m: usize,
    offsets: &'a [usize],
    panel: &Panel,
    b: &'a [P::Weight],
) -> Brgemm<'a, P> {
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
        lower_clamp: P::Accumulator::neg_infinity(),
        prefetch_c: false,
    }
}

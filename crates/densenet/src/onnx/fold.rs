//! A batch-norm after a convolution, folded into the convolution.

use std::ops::Range;

use densenet_kernels::batch_norm::{affine, inv_std};

use crate::architecture::{Conv, Norm};
use crate::checkpoint::Contents;
use crate::network::fold;

/// Weight `[out, in, kernel, kernel]` and bias `[out]` of the convolution equivalent to `conv` followed by `norm`, its
/// only reader, with running statistics: `scale * (w * x + b) + shift`, computed in `f64`.
pub(super) fn folded(contents: &Contents<'_>, conv: &Conv, norm: &Norm) -> (Vec<f32>, Vec<f32>) {
    let parameter = |range: &Range<usize>| wide(&contents.parameters[range.clone()]);
    let statistic = |range: &Range<usize>| wide(&contents.running[range.clone()]);
    let inv_std = inv_std(&statistic(&norm.variance));
    let (scale, shift) = affine(&parameter(&norm.weight), &parameter(&norm.bias), &statistic(&norm.mean), &inv_std);
    let (mut weight, bias) = (parameter(&conv.weight), conv.bias.as_ref().map(parameter));
    let bias = fold(&mut weight, bias.as_deref(), &scale, &shift);
    (rounded(&weight), rounded(&bias))
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

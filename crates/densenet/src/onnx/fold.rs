//! A batch-norm behind a convolution, taken into the convolution.

use densenet_kernels::reference::batch_norm::EPSILON;

use crate::architecture::{Conv, Norm};
use crate::checkpoint::Contents;

/// Weight `[out, in, kernel, kernel]` and bias `[out]` of the convolution that does what `conv` and `norm`, which reads
/// it alone, do with running statistics:
/// `scale * (w * x + b - mean) + beta` with `scale = gamma / sqrt(variance + epsilon)`, worked out in `f64`.
pub(super) fn folded(contents: &Contents<'_>, conv: &Conv, norm: &Norm) -> (Vec<f32>, Vec<f32>) {
    let (parameters, running) = (contents.parameters, contents.running);
    let weight = &parameters[conv.weight.clone()];
    let (gammas, betas) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
    let (means, variances) = (&running[norm.mean.clone()], &running[norm.variance.clone()]);
    let mut scaled = Vec::with_capacity(weight.len());
    let mut shifts = Vec::with_capacity(norm.channels);
    for (channel, kernel) in weight.chunks_exact(weight.len() / norm.channels).enumerate() {
        let [gamma, beta, mean, variance] = [gammas, betas, means, variances].map(|values| f64::from(values[channel]));
        let bias = conv.bias.as_ref().map_or(0.0, |bias| f64::from(parameters[bias.clone()][channel]));
        let scale = gamma / (variance + EPSILON).sqrt();
        scaled.extend(kernel.iter().map(|&value| (f64::from(value) * scale) as f32));
        shifts.push(((bias - mean) * scale + beta) as f32);
    }
    (scaled, shifts)
}

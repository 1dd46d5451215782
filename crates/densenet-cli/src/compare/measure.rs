//! Gradients of a network's layers.

use anyhow::Result;
use densenet::Architecture;
use densenet::architecture::Conv;
use densenet::network::{Backprop, DenseNet, StepOptions};
use ndarray::ArrayView4;

use super::results::LayerGradient;

/// The loss of a batch in training mode, and the gradient of each layer's first convolution, from the stem on. The
/// network's running statistics move.
pub fn gradients(
    network: &mut DenseNet,
    images: ArrayView4<'_, f32>,
    labels: &[u32],
) -> Result<(f64, Vec<LayerGradient>)> {
    let mut backprop = Backprop::new(network);
    let loss = backprop.run(network, images, labels, &StepOptions::default())?.loss;
    let (parameters, gradients) = (network.parameters(), backprop.gradients());
    let layer = |conv: &Conv| {
        let norm = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let (gradient, weight) = (norm(&gradients[conv.weight.clone()]), norm(&parameters[conv.weight.clone()]));
        LayerGradient { layer: conv.name.clone(), norm: gradient, relative: gradient / weight }
    };
    Ok((loss, convolutions(network.architecture()).map(layer).collect()))
}

/// The first convolution of each layer.
fn convolutions(architecture: &Architecture) -> impl Iterator<Item = &Conv> {
    let layers = architecture.blocks.iter().flat_map(|block| &block.layers);
    let first = layers.map(|layer| &layer.bottleneck.as_ref().unwrap_or(&layer.conv).conv);
    std::iter::once(&architecture.stem_conv).chain(first)
}

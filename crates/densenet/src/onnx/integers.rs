//! An int8 network as a QDQ graph.
//!
//! The input and the output of a convolution are converted through bytes. The scales are distributed so that a runtime
//! may turn `DequantizeLinear -> Conv -> QuantizeLinear` into an integer convolution, which has one scale for its input
//! and one for its output: both are 1 here. The scale of each input channel is in the weights already, and that of each
//! output channel goes into the scale of its weights.

use std::ops::Range;

use densenet_kernels::Affine;
use densenet_kernels::batch_norm::{affine, inv_std};

use super::graph::{int, window};
use super::network::{Walk, module};
use crate::architecture::{Conv, DenseLayer, Norm, PreAct};
use crate::quantization::{Quantization, QuantizedMaps, Requantize};

/// The name of the scale 1.
pub(super) const UNIT: &str = "unit_scale";

/// The largest bias of a convolution in units of its sums: a runtime converts biases to 32-bit integers.
const MOST_BIAS: f32 = (1 << 30) as f32;

/// A position among the maps of a block.
#[derive(Clone, Copy)]
struct Maps<'a> {
    scales: &'a QuantizedMaps,
    /// The number of channels before it.
    first: usize,
}

impl Walk<'_> {
    /// Stem and blocks with the integers of `quantization`.
    pub(super) fn integer_body(&mut self, quantization: &Quantization) -> String {
        self.weights(UNIT, &[], &[1.0f32]);
        let blocks = &self.contents.architecture.blocks;
        let mut x = self.integer_stem(quantization);
        for (number, block) in blocks.iter().enumerate() {
            let mut maps = Maps { scales: &quantization.maps[number], first: block.in_channels };
            for layer in &block.layers {
                let h = self.integer_layer(layer, quantization, maps, &x);
                x = self.join(layer, x, h);
                maps.first += layer.conv.conv.out_channels;
            }
            if let Some(transition) = &block.transition {
                let to = Maps { scales: &quantization.maps[number + 1], first: 0 };
                x = self.integer_transition(transition, quantization, to, &x);
            }
        }
        x
    }

    /// `H(x)`, converted through the bytes of the resulting map.
    fn integer_layer(&mut self, layer: &DenseLayer, quantization: &Quantization, to: Maps<'_>, x: &str) -> String {
        let conv = &layer.conv.conv;
        let Some(bottleneck) = &layer.bottleneck else {
            let x = self.norm_relu(&layer.conv.norm, x);
            let x = self.activations(conv, quantization, &x);
            return self.map(conv, quantization, to, &x);
        };
        let x = self.norm_relu(&bottleneck.norm, x);
        let x = self.activations(&bottleneck.conv, quantization, &x);
        let [one, three] = [&bottleneck.conv, conv].map(|conv| &quantization.convs[&conv.name]);
        let (scale, shift) = self.affine(&layer.conv.norm);
        let norm = Affine { scale: &scale, shift: &shift };
        // Bytes begin at 0, which implements the ReLU.
        let write = one.write_activations(self.bias(&bottleneck.conv), norm, three);
        let bytes = self.integer_conv(&bottleneck.conv, quantization, &write, &x);
        let x = self.unit_numbers(&bottleneck.conv, &bytes);
        self.map(conv, quantization, to, &x)
    }

    /// A transition, which averages before it rounds and multiplies.
    fn integer_transition(&mut self, op: &PreAct, quantization: &Quantization, to: Maps<'_>, x: &str) -> String {
        let x = self.norm_relu(&op.norm, x);
        let x = self.node(format!("{}.pool", module(&op.conv)), "AveragePool", &[&x], window(2, 2, 0));
        let x = self.activations(&op.conv, quantization, &x);
        self.map(&op.conv, quantization, to, &x)
    }

    /// The activations `x` that `conv` reads, converted through bytes, in units of their scales.
    pub(super) fn activations(&mut self, conv: &Conv, quantization: &Quantization, x: &str) -> String {
        let name = format!("{}.input", conv.name);
        let scales = &quantization.convs[&conv.name].input_scale;
        let scale = self.weights(&format!("{name}_scale"), &[conv.in_channels], scales);
        let bytes = self.node(format!("{name}.quantized"), "QuantizeLinear", &[x, &scale], vec![int("axis", 1)]);
        let unit = self.own(UNIT);
        self.node(format!("{name}.dequantized"), "DequantizeLinear", &[&bytes, &unit], vec![])
    }

    /// The map that `conv` computes from `x`, converted through bytes.
    fn map(&mut self, conv: &Conv, quantization: &Quantization, to: Maps<'_>, x: &str) -> String {
        let write = quantization.convs[&conv.name].write_map(self.bias(conv), to.scales, to.first);
        let bytes = self.integer_conv(conv, quantization, &write, x);
        let scales = self.map_scales(&conv.name, to.scales, to.first..to.first + conv.out_channels);
        self.map_numbers(&conv.name, &scales, &bytes)
    }

    /// The map whose `bytes` have these scales and zero points.
    pub(super) fn map_numbers(&mut self, name: &str, [scale, zero]: &[String; 2], bytes: &str) -> String {
        self.node(format!("{name}.dequantized"), "DequantizeLinear", &[bytes, scale, zero], vec![int("axis", 1)])
    }

    /// The bytes that `conv` computes from `x`: `write` applied to the integer sums.
    pub(super) fn integer_conv(
        &mut self,
        conv: &Conv,
        quantization: &Quantization,
        write: &Requantize,
        x: &str,
    ) -> String {
        let Conv { name, in_channels, out_channels, kernel, stride, padding, .. } = conv;
        let (weight, scale) = scaled(&quantization.convs[name].weight, write);
        let shape = [*out_channels, *in_channels, *kernel, *kernel];
        let weight = self.weights(&format!("{name}.weight"), &shape, &weight);
        let scale = self.weights(&format!("{name}.weight_scale"), &[*out_channels], &scale);
        let bias = self.weights(&format!("{name}.bias"), &[*out_channels], &write.shift);
        let weight_name = format!("{name}.weight.dequantized");
        let weight = self.node(weight_name, "DequantizeLinear", &[&weight, &scale], vec![int("axis", 0)]);
        let y = self.node(name.clone(), "Conv", &[x, &weight, &bias], window(*kernel, *stride, *padding));
        let unit = self.own(UNIT);
        self.node(format!("{name}.quantized"), "QuantizeLinear", &[&y, &unit], vec![])
    }

    /// The bytes that `conv` computes, as numbers in units of their scales.
    pub(super) fn unit_numbers(&mut self, conv: &Conv, bytes: &str) -> String {
        let unit = self.own(UNIT);
        self.node(format!("{}.dequantized", conv.name), "DequantizeLinear", &[bytes, &unit], vec![])
    }

    /// Scale and zero point of some channels of a block's maps.
    pub(super) fn map_scales(&mut self, name: &str, maps: &QuantizedMaps, channels: Range<usize>) -> [String; 2] {
        let shape = [channels.len()];
        let scale = self.weights(&format!("{name}.map_scale"), &shape, &maps.scale[channels.clone()]);
        [scale, self.weights(&format!("{name}.map_zero"), &shape, &maps.zero[channels])]
    }

    /// The scale and shift of `norm`.
    pub(super) fn affine(&self, norm: &Norm) -> (Vec<f32>, Vec<f32>) {
        let (parameters, running) = (self.contents.parameters, self.contents.running);
        let inv_std = inv_std(&running[norm.variance.clone()]);
        let (gamma, beta) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
        affine(gamma, beta, &running[norm.mean.clone()], &inv_std)
    }
}

/// Weights and their per-output scales, above 0, which multiply the sums as `write` does.
fn scaled(weight: &[i8], write: &Requantize) -> (Vec<i8>, Vec<f32>) {
    let outputs = weight.chunks_exact((weight.len() / write.scale.len()).max(1));
    let (mut weights, mut scales) = (Vec::with_capacity(weight.len()), Vec::with_capacity(write.scale.len()));
    for ((output, &scale), shift) in outputs.zip(&write.scale).zip(&write.shift) {
        // A batch-norm's scale may be negative, or so small that only the shift is left.
        let above_zero = scale.abs().max(shift.abs() / MOST_BIAS).max(f32::MIN_POSITIVE);
        weights.extend(output.iter().map(|&weight| (f32::from(weight) * (scale / above_zero)).round_ties_even() as i8));
        scales.push(above_zero);
    }
    (weights, scales)
}

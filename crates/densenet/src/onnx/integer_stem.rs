//! The stem of an int8 network, as a QDQ graph.
//!
//! The byte for a picture's 0 differs between channels and may have a fraction. So pictures are padded as
//! floating-point numbers and shifted until their lowest number is 0. Then their bytes have a zero point of 0, like
//! those of activations, and a runtime may run the convolution on integers.

use densenet_kernels::Affine;

use super::integers::UNIT;
use super::network::{INPUT, Walk};
use crate::architecture::Conv;
use crate::quantization::Quantization;

impl Walk<'_> {
    /// The first map, converted through its bytes.
    pub(super) fn integer_stem(&mut self, quantization: &Quantization) -> String {
        let arch = self.contents.architecture;
        let (conv, maps) = (&arch.stem_conv, &quantization.maps[0]);
        let x = self.bytes_of_pictures(conv, quantization);
        let norm = arch.stem_norm.as_ref().map(|norm| self.affine(norm));
        let norm = norm.as_ref().map(|(scale, shift)| Affine { scale, shift });
        let (integers, zero) = (&quantization.convs[&conv.name], &quantization.picture_zero);
        // Bytes begin at 0, which implements the ReLU.
        let write = integers.write_first_map(zero, self.bias(conv), norm, maps);
        // The padding has already been applied.
        let bytes = self.integer_conv(&Conv { padding: 0, ..conv.clone() }, quantization, &write, &x);
        let scales = self.map_scales(&conv.name, maps, 0..conv.out_channels);
        let Some(pool) = arch.stem_pool else { return self.map_numbers(&conv.name, &scales, &bytes) };
        // Bytes are pooled, all with one scale: a runtime pools only integers of a single scale.
        let x = self.unit_numbers(conv, &bytes);
        let x = self.stem_pool(pool, &x);
        let (name, unit) = ("features.pool0", self.own(UNIT));
        let bytes = self.node(format!("{name}.quantized"), "QuantizeLinear", &[&x, &unit], vec![]);
        self.map_numbers(name, &scales, &bytes)
    }

    /// The pictures, padded for `conv`, converted through bytes, in units of their scales.
    fn bytes_of_pictures(&mut self, conv: &Conv, quantization: &Quantization) -> String {
        let Conv { name, in_channels, padding, .. } = conv;
        let border = *padding as i64;
        let pads = self.weights(&format!("{name}.pads"), &[8], &[0, 0, border, border, 0, 0, border, border]);
        let x = self.node(format!("{name}.padded"), "Pad", &[INPUT, &pads], vec![]);
        let scales = quantization.convs[name].input_scale.iter().zip(&quantization.picture_zero);
        let lowest: Vec<f32> = scales.map(|(scale, zero)| scale * zero).collect();
        let lowest = self.weights(&format!("{name}.input_shift"), &[*in_channels, 1, 1], &lowest);
        let x = self.node(format!("{name}.input"), "Add", &[&x, &lowest], vec![]);
        self.activations(conv, quantization, &x)
    }
}

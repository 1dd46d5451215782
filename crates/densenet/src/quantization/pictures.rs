//! From pictures to the bytes of the first map.

use densenet_kernels::Affine;

use super::{QuantizedConv, QuantizedMaps, Requantize};

impl QuantizedConv {
    /// The conversion from pictures, whose bytes have this `zero`, to the bytes that this convolution, the stem's,
    /// reads.
    pub fn read_pictures(&self, zero: &[f32]) -> Requantize {
        let channels = self.input_scale.iter().zip(zero);
        Requantize::of(channels.map(|(&scale, &zero)| (1.0 / f64::from(scale), zero.into())))
    }

    /// The conversion from sums of this convolution, the stem's, with `bias`, over bytes of pictures with this `zero`,
    /// to the bytes of the first of `maps`: through the batch-norm `norm`, if there is one, and its ReLU, which is the
    /// bound at 0.
    pub fn write_first_map(
        &self,
        zero: &[f32],
        bias: Option<&[f32]>,
        norm: Option<Affine<'_, f32>>,
        maps: &QuantizedMaps,
    ) -> Requantize {
        let norm = |output: usize| {
            norm.map_or((1.0, 0.0), |norm| (f64::from(norm.scale[output]), f64::from(norm.shift[output])))
        };
        let outputs = self.outputs(bias).zip(self.sums_of(zero)).zip(maps.channels()).enumerate();
        Requantize::of(outputs.map(|(output, (((weight_scale, added), of_zero), (map_scale, map_zero)))| {
            let (scale, shift) = norm(output);
            let added = added - weight_scale * of_zero;
            (weight_scale * scale / map_scale, (added * scale + shift) / map_scale + map_zero)
        }))
    }

    /// The sums of each output over inputs that are `zero` everywhere.
    fn sums_of(&self, zero: &[f32]) -> impl Iterator<Item = f64> {
        let (inputs, outputs) = (self.input_scale.len(), self.weight_scale.len());
        let kernel = self.weight.len() / (inputs * outputs).max(1);
        self.weight.chunks_exact((inputs * kernel).max(1)).map(move |output| {
            let channels = output.chunks_exact(kernel.max(1)).zip(zero);
            channels.map(|(weights, &zero)| weights.iter().map(|&w| f64::from(w)).sum::<f64>() * f64::from(zero)).sum()
        })
    }
}

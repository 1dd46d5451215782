//! Reading 8-bit weights.

use safetensors::Dtype;

use super::Weights;
use super::integer_tensors::{OF_CONV, OF_MAPS, PICTURE_ZERO, block, integer_weights};
use super::reader::Reader;
use crate::Result;
use crate::architecture::{Architecture, Tensor};
use crate::quantization::{Quantization, QuantizedConv, QuantizedMaps};

impl Reader {
    /// Whether some of the weights are integers.
    pub fn holds_integers(&self) -> bool {
        self.tensors().iter().any(|stored| stored.dtype == Dtype::I8)
    }

    /// The weights of `architecture`, some of which are integers.
    pub(super) fn integer_weights(&mut self, architecture: &Architecture) -> Result<Weights> {
        let stem = format!("{}.weight", architecture.stem_conv.name);
        if self.tensors().iter().any(|stored| stored.name == stem && stored.dtype == Dtype::F32) {
            return Err(self.wrong(format!(
                "holds {stem} as F32, from before the stem was quantized, too; run densenet quantize again on the \
                 weights that it was made from"
            )));
        }
        let integers = integer_weights(architecture);
        let parameters: Vec<Tensor> =
            architecture.parameters.iter().filter(|tensor| !integers.contains(&tensor.name)).cloned().collect();
        let own = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or_default();
            integers.contains(name) || OF_CONV.contains(&last) || OF_MAPS.contains(&last) || last == PICTURE_ZERO
        };
        let mut numbers = self.by_name();
        numbers.retain(|name, _| !own(name));
        self.compare(&numbers, &[("", &parameters), ("", &architecture.running)])
            .map_err(|lists| self.differs(&lists))?;
        let quantization = self.quantization(architecture)?;
        let mut parameters = self.values(&numbers, "", &parameters)?;
        // The last tensor may be an integer.
        parameters.resize(architecture.num_parameters(), 0.0);
        let running = self.values(&numbers, "", &architecture.running)?;
        Ok(Weights { parameters, running, quantization: Some(quantization) })
    }

    fn quantization(&mut self, architecture: &Architecture) -> Result<Quantization> {
        let mut quantization = Quantization::default();
        for conv in architecture.convs() {
            let (name, outputs, inputs) = (&conv.name, conv.out_channels, conv.in_channels);
            let weight = self.named(&format!("{name}.weight"), Dtype::I8, conv.weight.len())?;
            let mut of = |which: usize, len: usize| self.named(&format!("{name}.{}", OF_CONV[which]), Dtype::F32, len);
            let conv = QuantizedConv {
                weight_scale: of(0, outputs)?,
                input_scale: of(1, inputs)?,
                correction: of(2, outputs)?,
                weight: weight.into_iter().map(|weight| weight as i8).collect(),
            };
            quantization.convs.insert(name.clone(), conv);
        }
        let stem = &architecture.stem_conv;
        let zero = format!("{}.{PICTURE_ZERO}", stem.name);
        quantization.picture_zero = self.named(&zero, Dtype::F32, stem.in_channels)?;
        for (i, channels) in architecture.blocks.iter().map(|block| block.widths().sum()).enumerate() {
            let [scale, zero] = OF_MAPS.map(|name| format!("{}.{name}", block(i)));
            let zero = self.named(&zero, Dtype::U8, channels)?;
            quantization.maps.push(QuantizedMaps {
                scale: self.named(&scale, Dtype::F32, channels)?,
                zero: zero.into_iter().map(|zero| zero as u8).collect(),
            });
        }
        Ok(quantization)
    }

    /// The elements of the tensor `name`, which has `len` elements of type `dtype`; scales must be above 0.
    fn named(&mut self, name: &str, dtype: Dtype, len: usize) -> Result<Vec<f32>> {
        let index = self.tensors().iter().position(|stored| stored.name == name && stored.dtype == dtype);
        let index = index.ok_or_else(|| self.wrong(format!("lacks {name} of {dtype:?}")))?;
        let mut values = vec![0.0; len];
        self.read(index, &mut values)?;
        let is_scale = name.ends_with("scale");
        match values.iter().find(|value| !value.is_finite() || is_scale && **value <= 0.0) {
            Some(value) => Err(self.wrong(format!("{name} holds {value}; it must be finite, and a scale above 0"))),
            None => Ok(values),
        }
    }
}

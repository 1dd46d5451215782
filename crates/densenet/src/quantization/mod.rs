//! Int8 inference: which parts of a network become integers, and with which scales.
//!
//! A map of a dense block is bytes `q` with a scale and a zero point per channel, `x = scale * (q - zero)`, written
//! once by the layer that computes it. A layer that reads it applies batch-norm and ReLU, and converts it to the scale
//! of its activation in that channel, all with one multiply and add per channel ([`QuantizedConv::read`]). The scales
//! of a convolution's activations are merged into its weights before these are quantized with one scale per output. So
//! each channel has its own scale for each of its readers, and the sums are sums of integers.
//!
//! A picture becomes bytes, too, with a scale and a zero point per channel. The classifier stays in floating point.

mod activations;
mod choose;
mod pictures;

use std::collections::BTreeMap;

pub use activations::{Activations, Calibration, Pixels};
pub use choose::quantize;

use densenet_kernels::{Affine, Scalar, int8};

use crate::architecture::{Architecture, Conv, Norm};

/// The largest byte.
const MOST_BYTE: f64 = 255.0;

/// The largest weight: the range is symmetric.
const MOST_WEIGHT: f64 = 127.0;

/// The integers of a network, and their scales.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantization {
    /// The integers of each convolution, by its name.
    pub convs: BTreeMap<String, QuantizedConv>,
    /// The byte that stands for 0 in each channel of pictures, with a fraction: `x = scale * (byte - zero)`, where the
    /// scale is the stem's for its inputs.
    pub picture_zero: Vec<f32>,
    /// The scales and zero points of each block's maps.
    pub maps: Vec<QuantizedMaps>,
}

/// Feature maps in bytes: `x = scale * (q - zero)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizedMaps {
    /// The scale of each channel of the concatenation, above 0.
    pub scale: Vec<f32>,
    /// The zero point of each channel: the byte that stands for 0.
    pub zero: Vec<u8>,
}

impl Quantization {
    /// Writes the weights that the integers stand for into `parameters`, laid out as in [`Architecture::parameters`].
    pub fn dequantize<T: Scalar>(&self, architecture: &Architecture, parameters: &mut [T]) {
        for conv in architecture.convs() {
            let values = self.convs[&conv.name].dequantized();
            let to = &mut parameters[conv.weight.clone()];
            to.iter_mut().zip(values).for_each(|(to, value)| *to = T::of(value.into()));
        }
    }

    /// Checks that these are the integers of a network of `architecture`.
    ///
    /// # Errors
    /// A convolution or a block whose integers are missing or have the wrong number; the message names it.
    pub fn check(&self, architecture: &Architecture) -> Result<(), String> {
        let numbers = |what: &str, found: usize, wanted: usize| match found == wanted {
            true => Ok(()),
            false => Err(format!("{what}: {found} numbers, not {wanted}")),
        };
        for Conv { name, in_channels, out_channels, weight, .. } in architecture.convs() {
            let conv = self.convs.get(name).ok_or_else(|| format!("{name}: no integers"))?;
            numbers(&format!("{name}.weight"), conv.weight.len(), weight.len())?;
            numbers(&format!("{name}.weight_scale"), conv.weight_scale.len(), *out_channels)?;
            numbers(&format!("{name}.input_scale"), conv.input_scale.len(), *in_channels)?;
            numbers(&format!("{name}.correction"), conv.correction.len(), *out_channels)?;
            let (products, most) = (weight.len() / out_channels, int8::MOST_TERMS);
            if products > most {
                return Err(format!("{name} sums {products} products; in integers at most {most} fit"));
            }
        }
        numbers("zeros of pictures", self.picture_zero.len(), architecture.config.in_channels)?;
        numbers("blocks", self.maps.len(), architecture.blocks.len())?;
        for (i, (block, maps)) in architecture.blocks.iter().zip(&self.maps).enumerate() {
            let channels = block.widths().sum();
            numbers(&format!("scales of block {}", i + 1), maps.scale.len(), channels)?;
            numbers(&format!("zeros of block {}", i + 1), maps.zero.len(), channels)?;
        }
        let stem = &self.maps[0].zero[..architecture.stem_conv.out_channels];
        match architecture.stem_norm.is_some() && stem.iter().any(|&zero| zero > 0) {
            true => Err("zeros of block 1 above 0 where the stem's ReLU makes the map; they must be 0".into()),
            false => Ok(()),
        }
    }
}

/// An int8 convolution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizedConv {
    /// `[out][in][kernel][kernel]`, from -127 to 127: the weight is `weight * weight_scale[out] / input_scale[in]`.
    pub weight: Vec<i8>,
    /// The scale of each output channel, above 0.
    pub weight_scale: Vec<f32>,
    /// The scale of each input channel, above 0: an activation is `input_scale * byte`.
    pub input_scale: Vec<f32>,
    /// What is added to each output channel, because rounding the weights shifted its mean.
    pub correction: Vec<f32>,
}

/// A multiply and an add per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requantize {
    /// The factor of each channel.
    pub scale: Vec<f32>,
    /// The summand of each channel, added after the multiplication.
    pub shift: Vec<f32>,
}

impl Requantize {
    fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Self {
        let (scale, shift) = pairs.map(|(scale, shift)| (scale as f32, shift as f32)).unzip();
        Self { scale, shift }
    }

    /// In the form that the operations take.
    pub fn affine(&self) -> Affine<'_, f32> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

impl QuantizedMaps {
    /// The conversion from bytes to numbers.
    pub fn dequantize(&self) -> Requantize {
        Requantize::of(self.channels().map(|(scale, zero)| (scale, -scale * zero)))
    }

    /// Scale and zero point of each channel.
    fn channels(&self) -> impl Iterator<Item = (f64, f64)> {
        self.scale.iter().zip(&self.zero).map(|(&scale, &zero)| (scale.into(), zero.into()))
    }
}

impl QuantizedConv {
    /// The conversion from bytes of the first of `maps` to activation bytes of this convolution, which reads them
    /// through the batch-norm `norm`.
    pub fn read(&self, maps: &QuantizedMaps, norm: Affine<'_, f32>) -> Requantize {
        let norm = norm.scale.iter().zip(norm.shift).map(|(&scale, &shift)| (f64::from(scale), f64::from(shift)));
        let channels = maps.channels().zip(norm).zip(&self.input_scale);
        Requantize::of(channels.map(|(((map_scale, zero), (scale, shift)), &input_scale)| {
            let scale = scale * map_scale;
            (scale / f64::from(input_scale), (shift - scale * zero) / f64::from(input_scale))
        }))
    }

    /// The conversion from sums of this convolution, with `bias`, to the activation bytes that `next` reads through the
    /// batch-norm `norm`.
    pub fn write_activations(&self, bias: Option<&[f32]>, norm: Affine<'_, f32>, next: &Self) -> Requantize {
        let outputs = self.outputs(bias).zip(norm.scale.iter().zip(norm.shift)).zip(&next.input_scale);
        Requantize::of(outputs.map(|(((weight_scale, added), (&scale, &shift)), &to)| {
            let (scale, shift, to) = (f64::from(scale), f64::from(shift), f64::from(to));
            (weight_scale * scale / to, (added * scale + shift) / to)
        }))
    }

    /// The conversion from sums of this convolution, with `bias`, to the bytes of a map, whose channels `maps` has from
    /// `first` on.
    pub fn write_map(&self, bias: Option<&[f32]>, maps: &QuantizedMaps, first: usize) -> Requantize {
        let outputs = self.outputs(bias).zip(maps.channels().skip(first));
        Requantize::of(
            outputs.map(|((weight_scale, added), (scale, zero))| (weight_scale / scale, added / scale + zero)),
        )
    }

    /// The weights that the integers stand for, `[out][in][kernel][kernel]`.
    pub fn dequantized(&self) -> Vec<f32> {
        let (inputs, outputs) = (self.input_scale.len(), self.weight_scale.len());
        let kernel = self.weight.len() / (inputs * outputs).max(1);
        let value = |(i, &weight): (usize, &i8)| {
            let (output, input) = (i / (inputs * kernel), i / kernel % inputs);
            f32::from(weight) * self.weight_scale[output] / self.input_scale[input]
        };
        self.weight.iter().enumerate().map(value).collect()
    }

    /// The scale of each output's sums, and the value added to the output.
    fn outputs(&self, bias: Option<&[f32]>) -> impl Iterator<Item = (f64, f64)> {
        let bias = move |output: usize| bias.map_or(0.0, |bias| f64::from(bias[output]));
        let outputs = self.weight_scale.iter().zip(&self.correction).enumerate();
        outputs.map(move |(output, (&scale, &correction))| (scale.into(), bias(output) + f64::from(correction)))
    }
}

/// The batch-norm that reads all maps of each block: that of the transition after it, or the final one.
fn readers_of_all(architecture: &Architecture) -> impl Iterator<Item = &Norm> {
    architecture
        .blocks
        .iter()
        .map(|block| block.transition.as_ref().map_or(&architecture.final_norm, |transition| &transition.norm))
}

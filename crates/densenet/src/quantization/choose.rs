//! Choosing scales, and rounding.

use std::collections::BTreeMap;

use super::activations::{Activations, Calibration, Pixels};
use super::{MOST_BYTE, MOST_WEIGHT, Quantization, QuantizedConv, QuantizedMaps};
use crate::architecture::{Architecture, Conv};
use crate::config::Joining;
use crate::{Error, Result};

/// How much of a channel's range its activation's scale follows; the weights follow the rest. 1 gives every channel all
/// bytes, 0 gives all channels one scale. From 0.5 to 1 there is little difference.
const BALANCE: f64 = 0.7;

/// The smallest range that is distinguished from 0.
const LEAST_RANGE: f64 = 1e-12;

/// Quantizes a network.
///
/// # Errors
/// Layers that are not densely connected, or values that are not finite.
pub fn quantize(architecture: &Architecture, parameters: &[f32], calibration: &Calibration) -> Result<Quantization> {
    if architecture.config.joining != Joining::Dense {
        return Err(Error::Config("only networks with dense connections can be quantized".into()));
    }
    let pictures = Pictures::of(&calibration.pictures, architecture.config.in_channels)?;
    let stem = Weights::new(&architecture.stem_conv, parameters)?;
    let stem = stem.quantize(pictures.scale, &pictures.mean);
    let mut convs = BTreeMap::from([(architecture.stem_conv.name.clone(), stem)]);
    for op in architecture.pre_activations() {
        let name = &op.conv.name;
        let wrong = |reason| Error::Config(format!("{name}: {reason}"));
        let activations = calibration.activations.get(name);
        let activations = activations.ok_or_else(|| wrong("nothing is known of its activations"))?;
        if !activations.are_finite() {
            return Err(wrong("activations that are not finite"));
        }
        let weights = Weights::new(&op.conv, parameters)?;
        convs.insert(name.clone(), weights.quantize(weights.balanced(activations), &activations.mean));
    }
    let maps = calibration.maps.iter().map(|ranges| maps(ranges)).collect();
    Ok(Quantization { convs, picture_zero: pictures.zero, maps })
}

/// The quantization of pictures.
struct Pictures {
    /// The scale of each channel, as stored in single precision.
    scale: Vec<f64>,
    zero: Vec<f32>,
    /// The mean of the values in each channel.
    mean: Vec<f64>,
}

impl Pictures {
    /// The quantization of pictures with this many `channels`.
    fn of(pixels: &[Pixels], channels: usize) -> Result<Self> {
        let finite = |Pixels { low, high, mean }: &Pixels| [low, high, mean].into_iter().all(|value| value.is_finite());
        if pixels.len() != channels || !pixels.iter().all(finite) {
            let message =
                format!("{} picture channels are known, or some are not finite; {channels} are needed", pixels.len());
            return Err(Error::Config(message));
        }
        let mut pictures = Self { scale: Vec::new(), zero: Vec::new(), mean: Vec::new() };
        for &Pixels { low, high, mean } in pixels {
            // Pictures are padded with zeros, so the range includes 0.
            let (low, high) = (low.min(0.0), high.max(0.0));
            let scale = single((high - low).max(LEAST_RANGE) / MOST_BYTE);
            pictures.scale.push(scale);
            pictures.zero.push((-low / scale) as f32);
            pictures.mean.push(mean);
        }
        Ok(pictures)
    }
}

/// A scale as it is stored: above 0, in single precision.
fn single(scale: f64) -> f64 {
    f64::from(scale.max(f64::from(f32::MIN_POSITIVE)) as f32)
}

/// The scales and zero points of channels with these ranges.
fn maps(ranges: &[(f64, f64)]) -> QuantizedMaps {
    let channel = |&(low, high): &(f64, f64)| {
        // 0 must be an exact byte: convolutions pad with it, and zero points are integers in other programs.
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low).max(LEAST_RANGE) / MOST_BYTE;
        (scale as f32, (-low / scale).round_ties_even() as u8)
    };
    let (scale, zero) = ranges.iter().map(channel).unzip();
    QuantizedMaps { scale, zero }
}

impl Activations {
    fn are_finite(&self) -> bool {
        self.most.iter().chain(&self.mean).chain(&self.square).all(|value| value.is_finite())
    }
}

/// The weights of a convolution.
struct Weights<'a> {
    /// `[out][in][kernel][kernel]`.
    values: &'a [f32],
    inputs: usize,
    /// Number of positions of the kernel.
    kernel: usize,
}

impl<'a> Weights<'a> {
    /// The weights of `conv` among the `parameters`.
    fn new(conv: &Conv, parameters: &'a [f32]) -> Result<Self> {
        let values = &parameters[conv.weight.clone()];
        match values.iter().all(|weight| weight.is_finite()) {
            true => Ok(Self { values, inputs: conv.in_channels, kernel: conv.kernel * conv.kernel }),
            false => Err(Error::Config(format!("{}: weights that are not finite", conv.name))),
        }
    }

    /// The weights of each output, each with the number of its input channel.
    fn outputs(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, f64)>> {
        let kernel = self.kernel;
        self.values
            .chunks_exact(self.inputs * kernel)
            .map(move |output| output.iter().enumerate().map(move |(i, &weight)| (i / kernel, f64::from(weight))))
    }

    /// SmoothQuant's scales for the inputs (Xiao et al., ICML 2023, arXiv 2211.10438, equation 4): the activations'
    /// common scale is merged into those of the channels.
    fn balanced(&self, activations: &Activations) -> Vec<f64> {
        let mut most_weight = vec![LEAST_RANGE; self.inputs];
        for output in self.outputs() {
            output.for_each(|(input, weight)| most_weight[input] = most_weight[input].max(weight.abs()));
        }
        let ranges = || activations.most.iter().map(|most| most.max(LEAST_RANGE)).zip(&most_weight);
        let shared = ranges().map(|(most, weight)| (most * weight).powf(1.0 - BALANCE)).fold(0.0, f64::max);
        let input = |(most, weight): (f64, &f64)| most.powf(BALANCE) * weight.powf(BALANCE - 1.0) * shared / MOST_BYTE;
        ranges().map(input).map(single).collect()
    }

    /// The scale of each output's weights, for inputs with these scales.
    fn scales(&self, input_scale: &[f64]) -> Vec<f64> {
        let most = |output: &mut dyn Iterator<Item = (usize, f64)>| {
            output.map(|(input, weight)| (weight * input_scale[input]).abs()).fold(LEAST_RANGE * LEAST_RANGE, f64::max)
        };
        self.outputs().map(|mut output| single(most(&mut output) / MOST_WEIGHT)).collect()
    }

    /// Rounds the weights for inputs with these scales, and keeps the mean of each output unchanged for inputs with
    /// these means.
    fn quantize(&self, input_scale: Vec<f64>, mean: &[f64]) -> QuantizedConv {
        let scales = self.scales(&input_scale);
        let (mut weights, mut correction) = (Vec::with_capacity(self.values.len()), Vec::new());
        for (output, weight_scale) in self.outputs().zip(&scales) {
            let mut moved = 0.0;
            for (input, weight) in output {
                let scale = input_scale[input];
                let rounded = (weight * scale / weight_scale).round_ties_even().clamp(-MOST_WEIGHT, MOST_WEIGHT);
                moved += (rounded * weight_scale / scale - weight) * mean[input];
                weights.push(rounded as i8);
            }
            correction.push(-moved as f32);
        }
        let single = |scales: Vec<f64>| scales.into_iter().map(|scale| scale as f32).collect();
        QuantizedConv { weight: weights, weight_scale: single(scales), input_scale: single(input_scale), correction }
    }
}

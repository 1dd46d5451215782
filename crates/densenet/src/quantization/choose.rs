//! Choosing scales, and rounding.

use super::activations::{Activations, Calibration};
use super::{MOST_BYTE, MOST_WEIGHT, Quantization, QuantizedConv, QuantizedMaps};
use crate::architecture::{Architecture, Conv};
use crate::config::Joining;
use crate::{Error, Result};

/// How much of a channel's range its activation's scale follows; the weights follow the rest. 1 gives every channel all
/// bytes, 0 gives all channels one scale. `docs/int8.md` has what others give.
const BALANCE: f64 = 0.7;

/// The smallest range that is told from 0.
const LEAST_RANGE: f64 = 1e-12;

/// The integers of a network's body.
///
/// # Errors
/// Layers that join otherwise than densely, and values that are not finite.
pub fn quantize(architecture: &Architecture, parameters: &[f32], calibration: &Calibration) -> Result<Quantization> {
    if architecture.config.joining != Joining::Dense {
        return Err(Error::Config("only networks whose layers join densely become integers".into()));
    }
    let convs = architecture.pre_activations().map(|op| {
        let name = &op.conv.name;
        let activations = calibration.activations.get(name).ok_or_else(|| missing(name))?;
        let weights = Weights::new(&op.conv, &parameters[op.conv.weight.clone()]);
        if !weights.values.iter().all(|weight| weight.is_finite()) || !activations.are_finite() {
            return Err(Error::Config(format!("{name}: weights or activations that are not finite")));
        }
        Ok((name.clone(), weights.quantize(activations)))
    });
    let maps = calibration.maps.iter().map(|ranges| maps(ranges)).collect();
    Ok(Quantization { convs: convs.collect::<Result<_>>()?, maps })
}

fn missing(name: &str) -> Error {
    Error::Config(format!("{name}: nothing is known of its activations"))
}

/// The scale and zero of channels with those ranges.
fn maps(ranges: &[(f64, f64)]) -> QuantizedMaps {
    let channel = |&(low, high): &(f64, f64)| {
        // 0 is a byte, as convolutions pad with it and integers' zeros are in other programs.
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
    /// Places of the kernel.
    kernel: usize,
}

/// A choice of scales for a convolution.
struct Scales {
    /// Of each input.
    input: Vec<f64>,
    /// Of each output.
    weight: Vec<f64>,
}

impl<'a> Weights<'a> {
    fn new(conv: &Conv, values: &'a [f32]) -> Self {
        Self { values, inputs: conv.in_channels, kernel: conv.kernel * conv.kernel }
    }

    /// The weights of each output, each with its input.
    fn outputs(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, f64)>> {
        let kernel = self.kernel;
        self.values
            .chunks_exact(self.inputs * kernel)
            .map(move |output| output.iter().enumerate().map(move |(i, &weight)| (i / kernel, f64::from(weight))))
    }

    /// SmoothQuant's scales (Xiao et al., ICML 2023, arXiv 2211.10438, equation 4): the activations' one scale is
    /// taken into those of the channels.
    fn scales(&self, activations: &Activations) -> Scales {
        let mut most_weight = vec![LEAST_RANGE; self.inputs];
        for output in self.outputs() {
            output.for_each(|(input, weight)| most_weight[input] = most_weight[input].max(weight.abs()));
        }
        let ranges = || activations.most.iter().map(|most| most.max(LEAST_RANGE)).zip(&most_weight);
        let shared = ranges().map(|(most, weight)| (most * weight).powf(1.0 - BALANCE)).fold(0.0, f64::max);
        let input = |(most, weight): (f64, &f64)| most.powf(BALANCE) * weight.powf(BALANCE - 1.0) * shared / MOST_BYTE;
        // What is stored are numbers of single precision.
        let single = |scale: f64| f64::from(scale.max(f64::from(f32::MIN_POSITIVE)) as f32);
        let input: Vec<f64> = ranges().map(input).map(single).collect();
        let most = |output: &mut dyn Iterator<Item = (usize, f64)>| {
            output.map(|(channel, weight)| (weight * input[channel]).abs()).fold(LEAST_RANGE * LEAST_RANGE, f64::max)
        };
        let weight = self.outputs().map(|mut output| single(most(&mut output) / MOST_WEIGHT)).collect();
        Scales { input, weight }
    }

    /// Rounds the weights, and keeps the mean of each output where it was.
    fn quantize(&self, activations: &Activations) -> QuantizedConv {
        let scales = self.scales(activations);
        let (mut weights, mut correction) = (Vec::with_capacity(self.values.len()), Vec::new());
        for (output, weight_scale) in self.outputs().zip(&scales.weight) {
            let mut moved = 0.0;
            for (input, weight) in output {
                let scale = scales.input[input];
                let rounded = (weight * scale / weight_scale).round_ties_even().clamp(-MOST_WEIGHT, MOST_WEIGHT);
                moved += (rounded * weight_scale / scale - weight) * activations.mean[input];
                weights.push(rounded as i8);
            }
            correction.push(-moved as f32);
        }
        let single = |scales: &[f64]| scales.iter().map(|&scale| scale as f32).collect();
        QuantizedConv {
            weight: weights,
            weight_scale: single(&scales.weight),
            input_scale: single(&scales.input),
            correction,
        }
    }
}

//! How large the values are that become bytes.

use std::collections::BTreeMap;
use std::f64::consts::{PI, SQRT_2};
use std::ops::Range;

use super::readers_of_all;
use crate::architecture::{Architecture, Norm};

/// Deviations from the mean that a range without data reaches to.
const DEVIATIONS: f64 = 6.0;

/// The activations that a convolution reads: `relu(bn(x))`, a value of each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations {
    /// The largest.
    pub most: Vec<f64>,
    /// The mean.
    pub mean: Vec<f64>,
    /// The mean of the squares.
    pub square: Vec<f64>,
}

/// What is known of a network's values before they become integers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// By the name of the convolution that reads them.
    pub activations: BTreeMap<String, Activations>,
    /// The lowest and the highest value of each channel of each block's maps.
    pub maps: Vec<Vec<(f64, f64)>>,
    /// Whether they were measured; else they are what the batch-norms tell.
    pub measured: bool,
}

impl Calibration {
    /// What the batch-norms tell, without any data: whatever becomes bytes stands before or after one, and is taken to be
    /// distributed normally.
    pub fn of_norms(architecture: &Architecture, parameters: &[f32], running: &[f32]) -> Self {
        let activations = architecture.pre_activations().map(|op| {
            let values = |range: &Range<usize>| parameters[range.clone()].iter().map(|&v| f64::from(v));
            let channels = values(&op.norm.bias).zip(values(&op.norm.weight).map(f64::abs));
            (op.conv.name.clone(), Activations::normal(channels))
        });
        let maps = readers_of_all(architecture).map(|norm| ranges(norm, running)).collect();
        Self { activations: activations.collect(), maps, measured: false }
    }
}

/// Mean less and plus some deviations, by the running statistics of `norm`.
fn ranges(norm: &Norm, running: &[f32]) -> Vec<(f64, f64)> {
    let channels = running[norm.mean.clone()].iter().zip(&running[norm.variance.clone()]);
    let range = |(&mean, &variance): (&f32, &f32)| {
        let reach = DEVIATIONS * f64::from(variance).max(0.0).sqrt();
        (f64::from(mean) - reach, f64::from(mean) + reach)
    };
    channels.map(range).collect()
}

impl Activations {
    /// Those of normally distributed values, mean and deviation of each channel, after a ReLU.
    fn normal(channels: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut activations = Self::default();
        for (mean, deviation) in channels {
            let z = if deviation > 0.0 { mean / deviation } else { f64::INFINITY * mean.signum() };
            let above = 0.5 * libm::erfc(-z / SQRT_2);
            let density = if z.is_finite() { (-0.5 * z * z).exp() / (2.0 * PI).sqrt() } else { 0.0 };
            activations.most.push((mean + DEVIATIONS * deviation).max(0.0));
            activations.mean.push(mean * above + deviation * density);
            activations.square.push((mean * mean + deviation * deviation) * above + mean * deviation * density);
        }
        activations
    }
}

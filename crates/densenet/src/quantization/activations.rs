//! How large the values are that become bytes.

use std::collections::BTreeMap;
use std::f64::consts::{PI, SQRT_2};
use std::ops::Range;

use super::readers_of_all;
use crate::architecture::{Architecture, Norm};
use crate::data::Preprocessing;

/// Deviations from the mean that a range without data reaches to.
const DEVIATIONS: f64 = 6.0;

/// How far from 0 the numbers of pictures reach of which nothing is known but that they are normalised.
const NORMALISED: f64 = 4.0;

/// The numbers of a channel of pictures, as a network reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixels {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The mean.
    pub mean: f64,
}

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
    /// Those of each channel of pictures.
    pub pictures: Vec<Pixels>,
    /// The lowest and the highest value of each channel of each block's maps.
    pub maps: Vec<Vec<(f64, f64)>>,
    /// Whether they were measured; else they are what the batch-norms tell.
    pub measured: bool,
}

impl Calibration {
    /// What the batch-norms tell, without any data: whatever becomes bytes stands before or after one, and is taken to be
    /// distributed normally. Pictures stand before none; they are taken to have a mean of 0 and to reach from -4 to 4.
    pub fn of_norms(architecture: &Architecture, parameters: &[f32], running: &[f32]) -> Self {
        let activations = architecture.pre_activations().map(|op| {
            let values = |range: &Range<usize>| parameters[range.clone()].iter().map(|&v| f64::from(v));
            let channels = values(&op.norm.bias).zip(values(&op.norm.weight).map(f64::abs));
            (op.conv.name.clone(), Activations::normal(channels))
        });
        let mut maps: Vec<_> = readers_of_all(architecture).map(|norm| ranges(norm, running)).collect();
        if architecture.stem_norm.is_some() {
            // A ReLU made the first map.
            maps[0][..architecture.stem_conv.out_channels].iter_mut().for_each(|(low, _)| *low = low.max(0.0));
        }
        let pixels = Pixels { low: -NORMALISED, high: NORMALISED, mean: 0.0 };
        let pictures = vec![pixels; architecture.config.in_channels];
        Self { activations: activations.collect(), pictures, maps, measured: false }
    }

    /// The same of pictures that are prepared like this: what black and white become bounds them, so that each of the 256
    /// values of a pixel has a byte of its own.
    pub fn of_prepared(mut self, preprocessing: &Preprocessing) -> Self {
        for (pixels, (low, high)) in self.pictures.iter_mut().zip(preprocessing.bounds()) {
            *pixels = Pixels { low, high, ..*pixels };
        }
        self
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

//! Ranges of the values that become bytes.

use std::collections::BTreeMap;
use std::f64::consts::{PI, SQRT_2};
use std::ops::Range;

use super::readers_of_all;
use crate::architecture::{Architecture, Norm};
use crate::data::Preprocessing;

/// Number of standard deviations around the mean that a range without data covers.
const DEVIATIONS: f64 = 6.0;

/// The assumed range of pictures, on either side of 0, if all that is known is that they are normalised.
const NORMALISED: f64 = 4.0;

/// The values of a picture channel, as a network reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixels {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The mean.
    pub mean: f64,
}

/// The activations that a convolution reads: `relu(bn(x))`, a value for each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations {
    /// The largest.
    pub most: Vec<f64>,
    /// The mean.
    pub mean: Vec<f64>,
    /// The mean of the squares.
    pub square: Vec<f64>,
}

/// Calibration: what is known about a network's values before quantization.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Activations, by the name of the convolution that reads them.
    pub activations: BTreeMap<String, Activations>,
    /// Values of each channel of the pictures.
    pub pictures: Vec<Pixels>,
    /// The lowest and the highest value of each channel of each block's maps.
    pub maps: Vec<Vec<(f64, f64)>>,
    /// Whether they were measured; otherwise they come from the batch-norms.
    pub measured: bool,
}

impl Calibration {
    /// Calibration from the batch-norms, without any data: everything that becomes bytes comes directly before or after
    /// a batch-norm, and is assumed to be normally distributed. Pictures do not; they are assumed to have a mean of 0
    /// and to range from -4 to 4.
    pub fn of_norms(architecture: &Architecture, parameters: &[f32], running: &[f32]) -> Self {
        let activations = architecture.pre_activations().map(|op| {
            let values = |range: &Range<usize>| parameters[range.clone()].iter().map(|&v| f64::from(v));
            let channels = values(&op.norm.bias).zip(values(&op.norm.weight).map(f64::abs));
            (op.conv.name.clone(), Activations::normal(channels))
        });
        let mut maps: Vec<_> = readers_of_all(architecture).map(|norm| ranges(norm, running)).collect();
        if architecture.stem_norm.is_some() {
            // The first map is the output of a ReLU.
            maps[0][..architecture.stem_conv.out_channels].iter_mut().for_each(|(low, _)| *low = low.max(0.0));
        }
        let pixels = Pixels { low: -NORMALISED, high: NORMALISED, mean: 0.0 };
        let pictures = vec![pixels; architecture.config.in_channels];
        Self { activations: activations.collect(), pictures, maps, measured: false }
    }

    /// The same for pictures that are prepared with `preprocessing`: the values of black and white bound them, so that
    /// each of the 256 values of a pixel has its own byte.
    pub fn of_prepared(mut self, preprocessing: &Preprocessing) -> Self {
        for (pixels, (low, high)) in self.pictures.iter_mut().zip(preprocessing.bounds()) {
            *pixels = Pixels { low, high, ..*pixels };
        }
        self
    }
}

/// Mean minus and plus some standard deviations, from the running statistics of `norm`.
fn ranges(norm: &Norm, running: &[f32]) -> Vec<(f64, f64)> {
    let channels = running[norm.mean.clone()].iter().zip(&running[norm.variance.clone()]);
    let range = |(&mean, &variance): (&f32, &f32)| {
        let reach = DEVIATIONS * f64::from(variance).max(0.0).sqrt();
        (f64::from(mean) - reach, f64::from(mean) + reach)
    };
    channels.map(range).collect()
}

impl Activations {
    /// Activations of normally distributed values after a ReLU, given mean and standard deviation of each channel.
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

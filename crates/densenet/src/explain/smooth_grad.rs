//! SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825).

use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use ndarray::{Array2, Array3, ArrayView3, Axis};

use super::mean_gradient::mean_gradient;
use super::target::Target;
use crate::network::DenseNet;
use crate::{Error, Result};

/// How noisy copies of a picture are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Number of copies.
    pub samples: usize,
    /// Standard deviation, as a fraction of the range from the picture's lowest to its highest value over all channels.
    /// With a level of 0 each copy is the picture itself, and the mean gradient is the picture's own.
    pub level: f64,
    /// Seed of the noise: the same seed gives the same noise.
    pub seed: u64,
}

/// The map `(H, W)` of the mean gradient of the target's logit over noisy copies of `image` `(C, H, W)`: signed, summed
/// over the channels, in logits per unit of a normalised value.
///
/// # Errors
/// No samples, a level that is negative or not finite, a class that the network does not have, and those of
/// [`DenseNet::logits`].
pub fn smooth_grad<T: Real>(
    network: &DenseNet<T>,
    image: ArrayView3<'_, T>,
    noise: Noise,
    target: Target,
) -> Result<Array2<T>> {
    let Noise { samples, level, .. } = noise;
    if samples == 0 {
        return Err(Error::Config("a mean over no samples; at least one is needed".into()));
    }
    if !(level.is_finite() && level >= 0.0) {
        return Err(Error::Config(format!("noise of {level}; it must be 0 or above")));
    }
    let gradient = mean_gradient(network, target, samples, |sample| noise.copy(image, sample))?;
    Ok(gradient.sum_axis(Axis(0)).mapv(T::of))
}

impl Noise {
    /// Copy number `sample` of a picture.
    pub(super) fn copy<T: Real>(self, image: ArrayView3<'_, T>, sample: usize) -> Array3<T> {
        let ends = image.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
            [low.min(value.f64()), high.max(value.f64())]
        });
        let (deviation, stream) = (self.level * (ends[1] - ends[0]), Stream::new(self.seed, sample as u64));
        let dim @ (_, height, width) = image.dim();
        Array3::from_shape_fn(dim, |(c, y, x)| {
            let normal = stream.normal(((c * height + y) * width + x) as u64);
            T::of(image[[c, y, x]].f64() + deviation * normal)
        })
    }
}

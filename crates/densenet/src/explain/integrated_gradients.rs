//! Integrated gradients (Sundararajan, Taly and Yan, ICML 2017, arXiv 1703.01365).

use densenet_kernels::Real;
use ndarray::{Array2, ArrayView3, Axis};

use super::mean_gradient::mean_gradient;
use super::target::Target;
use crate::network::DenseNet;
use crate::{Error, Result};

/// How much each pixel adds to the target's logit, compared with a picture of the mean colour.
#[derive(Clone, Debug)]
pub struct IntegratedGradients<T> {
    /// `(H, W)`, in units of the logit: the signed attributions, summed over the channels.
    pub map: Array2<T>,
    /// The target's logit for the picture minus that for the mean colour: what the map would sum to if the integral
    /// were exact (completeness, proposition 1).
    pub difference: f64,
}

impl<T: Real> IntegratedGradients<T> {
    /// Integrates along the straight line from the mean colour to `image` `(C, H, W)`, normalised as in training, so
    /// that the mean is 0. The gradient is taken in the middle of each of the `steps`, as captum's `riemann_middle`
    /// does.
    ///
    /// # Errors
    /// No steps, a class that the network does not have, and those of [`DenseNet::logits`].
    pub fn new(network: &DenseNet<T>, image: ArrayView3<'_, T>, steps: usize, target: Target) -> Result<Self> {
        if steps == 0 {
            return Err(Error::Config("an integral with no steps; at least one is needed".into()));
        }
        let at = |share: f64| image.mapv(|value| T::of(share * value.f64()));
        let gradient = mean_gradient(network, target, steps, |step| at((step as f64 + 0.5) / steps as f64))?;
        let attributions = gradient * image.mapv(|value| value.f64());
        let ends = ndarray::stack(Axis(0), &[at(1.0).view(), at(0.0).view()]).expect("pictures of one size");
        let logits = network.logits(ends.view())?;
        let [whole, mean] = [0, 1].map(|picture| target.score(|class| logits[[picture, class]].f64()));
        Ok(Self { map: attributions.sum_axis(Axis(0)).mapv(T::of), difference: whole - mean })
    }

    /// The sum of the map minus what it should be: the error of the integral.
    pub fn gap(&self) -> f64 {
        self.map.iter().map(|value| value.f64()).sum::<f64>() - self.difference
    }
}

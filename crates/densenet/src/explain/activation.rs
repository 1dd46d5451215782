//! Class activation maps (Zhou et al., CVPR 2016, arXiv 1512.04150).

use densenet_kernels::Real;
use ndarray::{Array2, Array4, ArrayView4};

use super::target::Target;
use crate::architecture::Linear;
use crate::config::HeadPool;
use crate::network::DenseNet;
use crate::{Architecture, Error, Result};

/// A network's predictions, and how much each place of its last maps adds to the logits.
///
/// The mean of a map plus the target's [bias](Self::bias) is its logit, up to rounding. This requires that a single
/// linear layer reads the means of the activations, or all of them; see [`check`](Self::check).
#[derive(Clone, Debug)]
pub struct ActivationMaps<'a, T: Real = f32> {
    network: &'a DenseNet<T>,
    pooled: Array2<T>,
    logits: Array2<T>,
    /// `(N, C, H, W)`.
    activations: Array4<T>,
}

impl<'a, T: Real> ActivationMaps<'a, T> {
    /// Checks that the maps are exact for a network of this architecture.
    ///
    /// # Errors
    /// A network without a classifier, with max pooling before it, or with hidden linear layers.
    pub fn check(architecture: &Architecture) -> Result<()> {
        architecture.check_classifier()?;
        let hindrance = match (&*architecture.classifier, architecture.config.head_pool) {
            ([_], HeadPool::Average | HeadPool::None) => return Ok(()),
            ([_], HeadPool::Max) => "max pooling before the classifier".to_string(),
            (layers, _) => format!("{} linear layers at its end", layers.len()),
        };
        Err(Error::Config(format!(
            "the network has {hindrance}, so its logits are not sums over places, which class activation maps show; \
             they need average pooling or none, and a single linear layer; Grad-CAM and occlusion work with any network"
        )))
    }

    /// Runs `network` on `images` `(N, C, H, W)`.
    ///
    /// # Errors
    /// Those of [`check`](Self::check) and of [`DenseNet::logits`].
    pub fn new(network: &'a DenseNet<T>, images: ArrayView4<'_, T>) -> Result<Self> {
        Self::check(network.architecture())?;
        let (pooled, logits, activations) = network.outputs_and_activations(images)?;
        Ok(Self { network, pooled, logits, activations })
    }

    /// `(N, C)`: the input of the classifier, as from [`DenseNet::pooled`].
    pub fn pooled(&self) -> &Array2<T> {
        &self.pooled
    }

    /// `(N, classes)`: as from [`DenseNet::logits`].
    pub fn logits(&self) -> &Array2<T> {
        &self.logits
    }

    /// The map `(H, W)` for picture number `image`, from 0, in units of the logit.
    ///
    /// # Errors
    /// A class that the network does not have.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn map(&self, image: usize, target: Target) -> Result<Array2<T>> {
        target.check(self.network.architecture())?;
        let activations = self.activations.index_axis(ndarray::Axis(0), image);
        let (channels, height, width) = activations.dim();
        let (layer, parameters) = (self.layer(), self.network.parameters());
        let weight = |input: usize| {
            target.score(|class| parameters[layer.weight.start + class * layer.in_features + input].f64())
        };
        let (weights, pixels): (Vec<f64>, _) = ((0..layer.in_features).map(weight).collect(), height * width);
        // A classifier of all pixels has a weight for each and sums over them, where the other sums over their means.
        let weight = |channel: usize, pixel: usize| match self.network.architecture().config.head_pool {
            HeadPool::None => pixels as f64 * weights[channel * pixels + pixel],
            _ => weights[channel],
        };
        Ok(Array2::from_shape_fn((height, width), |(y, x)| {
            let part = |channel| weight(channel, y * width + x) * activations[[channel, y, x]].f64();
            T::of((0..channels).map(part).sum())
        }))
    }

    /// The part of the target's logit that is not in its map, the same for every picture.
    ///
    /// # Errors
    /// A class that the network does not have.
    pub fn bias(&self, target: Target) -> Result<T> {
        target.check(self.network.architecture())?;
        let bias = &self.network.parameters()[self.layer().bias.clone()];
        Ok(target.score(|class| bias[class]))
    }

    /// The only linear layer.
    fn layer(&self) -> &Linear {
        &self.network.architecture().classifier[0]
    }
}

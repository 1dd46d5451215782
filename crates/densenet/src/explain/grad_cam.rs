//! Grad-CAM (Selvaraju et al., ICCV 2017, arXiv 1610.02391).

use densenet_kernels::Real;
use ndarray::{Array2, ArrayView3, Axis};

use super::target::Target;
use crate::Result;
use crate::network::{BlockGradients, DenseNet};

/// The map `(H, W)` of block number `block`, from 0, for `image` `(C, H, W)`: the sum of the block's maps, each
/// weighted by the mean gradient of the target's logit with respect to it (equation 1), where it is positive, and 0
/// elsewhere (equation 2). It works for any network, at the resolution of the block's maps.
///
/// The maps are those at the end of a block; for the last block, those that the head pools, see
/// [`DenseNet::block_gradients`]. If a single linear layer reads their means, the result for the last block is the
/// positive part of the [class activation map](super::ActivationMaps), divided by the number of places.
///
/// # Errors
/// A block or a class that the network does not have, and those of [`DenseNet::logits`].
pub fn grad_cam<T: Real>(
    network: &DenseNet<T>,
    image: ArrayView3<'_, T>,
    block: usize,
    target: Target,
) -> Result<Array2<T>> {
    let dlogits = target.gradient(network.architecture(), 1)?;
    let found = network.block_gradients(image.insert_axis(Axis(0)), dlogits.view(), block)?;
    let BlockGradients { maps, gradients } = found;
    let (maps, gradients) = (maps.index_axis(Axis(0), 0), gradients.index_axis(Axis(0), 0));
    let (_, height, width) = maps.dim();
    let mut sum = Array2::<f64>::zeros((height, width));
    for (map, gradient) in maps.outer_iter().zip(gradients.outer_iter()) {
        let weight = gradient.iter().map(|value| value.f64()).sum::<f64>() / gradient.len() as f64;
        sum.zip_mut_with(&map, |sum, value| *sum += weight * value.f64());
    }
    Ok(sum.mapv(|value| T::of(value.max(0.0))))
}

//! The mean gradient over many pictures.

use densenet_kernels::Real;
use ndarray::{Array3, Axis};

use super::target::Target;
use crate::Result;
use crate::network::DenseNet;

/// Number of pictures that go through the network at a time.
const BATCH: usize = 8;

/// The mean gradient `(C, H, W)` of the target's logit over the pictures that `picture` returns for the numbers below
/// `count`.
///
/// # Errors
/// A class that the network does not have, and those of [`DenseNet::logits`].
pub fn mean_gradient<T: Real>(
    network: &DenseNet<T>,
    target: Target,
    count: usize,
    picture: impl Fn(usize) -> Array3<T>,
) -> Result<Array3<f64>> {
    let mut sum = Array3::<f64>::zeros(picture(0).dim());
    for start in (0..count).step_by(BATCH) {
        let pictures: Vec<Array3<T>> = (start..count.min(start + BATCH)).map(&picture).collect();
        let views: Vec<_> = pictures.iter().map(|picture| picture.view()).collect();
        let batch = ndarray::stack(Axis(0), &views).expect("pictures of one size");
        let dlogits = target.gradient(network.architecture(), pictures.len())?;
        for gradient in network.image_gradients(batch.view(), dlogits.view())?.outer_iter() {
            sum.zip_mut_with(&gradient, |sum, value| *sum += value.f64());
        }
    }
    Ok(sum / count as f64)
}

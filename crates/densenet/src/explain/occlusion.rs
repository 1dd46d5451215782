//! Occlusion (Zeiler and Fergus, ECCV 2014, arXiv 1311.2901).

use ndarray::{Array2, Array3, ArrayView3, Axis, s};

use super::target::Target;
use crate::network::DenseNet;
use crate::output::Output;
use crate::{Error, Result};

/// Number of covered pictures that go through the network at a time.
const BATCH: usize = 16;

/// The map `(H, W)` of how much the target's probability drops when a square of `size` pixels in the mean colour covers
/// a place of `image` `(C, H, W)`, normalised as in training, so that the mean is 0.
///
/// The square moves by half its size and is cut off at the right and lower edges. A pixel's value is the mean of the
/// drops under all squares that cover it, as in captum's `Occlusion`. `output` says what the network's logits mean.
///
/// # Errors
/// A square of no pixels or larger than the picture, a class that the network does not have, and those of
/// [`DenseNet::logits`].
pub fn occlusion(
    network: &DenseNet,
    output: &Output,
    image: ArrayView3<'_, f32>,
    size: usize,
    target: Target,
) -> Result<Array2<f32>> {
    target.check(network.architecture())?;
    let (_, height, width) = image.dim();
    if !(1..=height.min(width)).contains(&size) {
        let largest = height.min(width);
        let reason =
            format!("a covering square of {size} pixels for a picture of {height}x{width}; 1 to {largest} fit");
        return Err(Error::Config(reason));
    }
    let scores = |images: &[Array3<f32>]| scores(network, output, images, target);
    let whole = scores(&[image.to_owned()])?[0];
    let (mut sums, mut counts) = (Array2::<f64>::zeros((height, width)), Array2::<f64>::zeros((height, width)));
    let corners: Vec<(usize, usize)> =
        starts(height, size).flat_map(|y| starts(width, size).map(move |x| (y, x))).collect();
    for some in corners.chunks(BATCH) {
        let place = |&(y, x): &(usize, usize)| s![y..height.min(y + size), x..width.min(x + size)];
        let covered = |&(y, x): &(usize, usize)| {
            let mut image = image.to_owned();
            image.slice_mut(s![.., y..height.min(y + size), x..width.min(x + size)]).fill(0.0);
            image
        };
        let scores = scores(&some.iter().map(covered).collect::<Vec<_>>())?;
        for (corner, score) in some.iter().zip(scores) {
            sums.slice_mut(place(corner)).mapv_inplace(|sum| sum + whole - score);
            counts.slice_mut(place(corner)).mapv_inplace(|count| count + 1.0);
        }
    }
    Ok((sums / counts).mapv(|drop| drop as f32))
}

/// Where squares of `size` pixels begin so that together they cover `extent` pixels.
fn starts(extent: usize, size: usize) -> impl Iterator<Item = usize> {
    let stride = size.div_ceil(2);
    (0..=(extent - size).div_ceil(stride)).map(move |step| step * stride)
}

/// The target's probability for each of `images` `(C, H, W)`.
fn scores(network: &DenseNet, output: &Output, images: &[Array3<f32>], target: Target) -> Result<Vec<f64>> {
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let batch = ndarray::stack(Axis(0), &views).expect("pictures of one size");
    let logits = network.logits(batch.view())?;
    let score = |logits| {
        let probabilities = output.probabilities(logits);
        target.score(|class| probabilities[class])
    };
    Ok(logits.rows().into_iter().map(score).collect())
}

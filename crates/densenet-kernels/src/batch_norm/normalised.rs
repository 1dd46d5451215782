//! A batch-norm as its reader's backward pass sees it.

use rayon::prelude::*;

use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMaps, Pooling};

/// Number of sums that a thread merges at a time.
const MERGED_TOGETHER: usize = 64;

/// A batch-norm as its reader's backward pass needs it, with one value per input channel.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a, T> {
    /// The feature maps that it reads.
    pub maps: FeatureMaps<'a, T>,
    /// Batch means of the maps.
    pub mean: &'a [T],
    /// `1 / sqrt(variance + eps)` of the maps.
    pub inv_std: &'a [T],
    /// Scale gamma.
    pub gamma: &'a [T],
    /// `z = scale * x + shift`, as computed in the forward pass.
    pub affine: Affine<'a, T>,
    /// How the pre-activation is pooled before the convolution.
    pub pooling: Pooling,
}

/// How a reader's gradient is written to the maps' gradient `dx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// `dx = `, for the first of the maps' readers to be visited.
    Overwrite,
    /// `dx += `.
    Accumulate,
}

/// Gradients of a batch-norm's scale and shift.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradient<T> {
    /// `sum(dz * xh)`, one per channel.
    pub gamma: Vec<T>,
    /// `sum(dz)`, one per channel.
    pub beta: Vec<T>,
}

impl<T: Scalar> NormGradient<T> {
    /// Adds up the sums of all row blocks, `[row block][map][dz, dz * xh][channel]`, in order and in double precision.
    pub(crate) fn merge(sums: &[T], map_channels: &[usize]) -> Self {
        let slot = 2 * map_channels.iter().sum::<usize>();
        let totals: Vec<T> = (0..slot)
            .into_par_iter()
            .with_min_len(MERGED_TOGETHER)
            .map(|i| T::of(sums.iter().skip(i).step_by(slot).fold(0.0, |total, sum| total + sum.f64())))
            .collect();
        let (mut beta, mut gamma, mut totals) = (Vec::new(), Vec::new(), totals.as_slice());
        for &channels in map_channels {
            let (map, next) = totals.split_at(2 * channels);
            beta.extend_from_slice(&map[..channels]);
            gamma.extend_from_slice(&map[channels..]);
            totals = next;
        }
        Self { gamma, beta }
    }
}

/// The bound above which a ReLU passes a value; without a ReLU it passes everything.
pub(crate) fn relu_bound<T: Scalar>(relu: bool) -> T {
    if relu { T::zero() } else { T::neg_infinity() }
}

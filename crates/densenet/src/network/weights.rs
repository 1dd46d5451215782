//! The weights of a network.

use std::ops::Range;

use densenet_kernels::{Affine, Scalar, batch_norm};

use crate::architecture::{Architecture, Norm};

/// The values of a network of some architecture, in two arenas.
#[derive(Debug)]
pub(super) struct Weights<T> {
    pub architecture: Architecture,
    /// Learnable values, laid out as [`Architecture::parameters`].
    pub parameters: Vec<T>,
    /// Running means and variances, laid out as [`Architecture::running`].
    pub running: Vec<T>,
}

/// Scale and shift of a batch-norm with its running statistics.
#[derive(Debug)]
pub(super) struct RunningAffine<T> {
    pub scale: Vec<T>,
    pub shift: Vec<T>,
}

impl<T: Scalar> Weights<T> {
    /// A tensor of the parameters.
    pub fn parameter(&self, range: &Range<usize>) -> &[T] {
        &self.parameters[range.clone()]
    }

    /// The scale and shift of `norm` in inference.
    pub fn affine(&self, norm: &Norm) -> RunningAffine<T> {
        let inv_std = batch_norm::inv_std(&self.running[norm.variance.clone()]);
        let (gamma, beta) = (self.parameter(&norm.weight), self.parameter(&norm.bias));
        let (scale, shift) = batch_norm::affine(gamma, beta, &self.running[norm.mean.clone()], &inv_std);
        RunningAffine { scale, shift }
    }
}

impl<T: Scalar> RunningAffine<T> {
    /// The identity for this many `channels`.
    pub fn identity(channels: usize) -> Self {
        Self { scale: vec![T::one(); channels], shift: vec![T::zero(); channels] }
    }
}

impl<T> RunningAffine<T> {
    pub fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

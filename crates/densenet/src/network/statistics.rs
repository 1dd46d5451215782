//! Batch statistics of feature maps, and the sums that the backward pass collects for them.

use std::ops::Range;

use densenet_kernels::batch_norm::{self, Correction, MOMENTUM, Moments, NormGradient, Normalised};
use densenet_kernels::{Affine, FeatureMaps, Pooling, Scalar};

use crate::architecture::Norm;

/// Batch statistics of feature maps, concatenated, and the sums that the backward pass collects for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics<T> {
    moments: Moments<T>,
    inv_std: Vec<T>,
    /// `S0` and `S1` of [`Correction`].
    s0: Vec<T>,
    s1: Vec<T>,
}

impl<T: Scalar> Statistics<T> {
    /// The statistics of one map.
    pub fn of(moments: &Moments<T>) -> Self {
        let mut statistics = Self::default();
        statistics.push(moments);
        statistics
    }

    /// Appends the statistics of another map.
    pub fn push(&mut self, moments: &Moments<T>) {
        self.inv_std.extend(batch_norm::inv_std(&moments.variance));
        self.moments.extend(moments);
        self.s0.resize(self.inv_std.len(), T::zero());
        self.s1.resize(self.inv_std.len(), T::zero());
    }

    /// The inputs for the correction of `channels`.
    pub fn correction(&self, channels: Range<usize>) -> Correction<'_, T> {
        Correction {
            mean: &self.moments.mean[channels.clone()],
            inv_std: &self.inv_std[channels.clone()],
            s0: &self.s0[channels.clone()],
            s1: &self.s1[channels],
        }
    }

    /// Adds a reader's part to the correction of its maps; its first channel is number `first`.
    pub fn add_reader(&mut self, first: usize, gamma: &[T], gradient: &NormGradient<T>) {
        for (c, &gamma) in gamma.iter().enumerate() {
            self.s0[first + c] += gamma * gradient.beta[c];
            self.s1[first + c] += gamma * gradient.gamma[c];
        }
    }
}

/// The input of a batch-norm: feature maps and their statistics.
pub(super) struct Reads<'a, T> {
    pub maps: FeatureMaps<'a, T>,
    /// The channel of `statistics` that belongs to the first map's first channel.
    pub first: usize,
    pub statistics: &'a Statistics<T>,
    /// How the pre-activation is pooled before the convolution.
    pub pooling: Pooling,
}

/// A batch-norm's scale and shift for its input.
pub(super) struct BatchAffine<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T> BatchAffine<T> {
    pub fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }
}

impl<'a, T: Scalar> Reads<'a, T> {
    /// The channels of the statistics that belong to the maps.
    fn channels(&self) -> Range<usize> {
        self.first..self.first + self.maps.channels()
    }

    /// The scale and shift of `norm` in this batch.
    pub fn affine(&self, norm: &Norm, parameters: &[T]) -> BatchAffine<T> {
        let Correction { mean, inv_std, .. } = self.statistics.correction(self.channels());
        let (gamma, beta) = (&parameters[norm.weight.clone()], &parameters[norm.bias.clone()]);
        let (scale, shift) = batch_norm::affine(gamma, beta, mean, inv_std);
        BatchAffine { scale, shift }
    }

    /// The maps normalised by `norm`.
    pub fn normalised<'b>(&'b self, norm: &Norm, parameters: &'b [T], affine: Affine<'b, T>) -> Normalised<'b, T> {
        let Correction { mean, inv_std, .. } = self.statistics.correction(self.channels());
        let gamma = &parameters[norm.weight.clone()];
        Normalised { maps: self.maps, mean, inv_std, gamma, affine, pooling: self.pooling }
    }

    /// Moves `norm`'s running statistics towards the batch's, except for channels that an earlier reader has already
    /// moved; the variance is the unbiased one, as in PyTorch.
    pub fn update_running(&self, norm: &Norm, running: &mut [T]) {
        let pixels = self.maps.grid().pixels() as f64;
        let (keep, unbiased) = (1.0 - MOMENTUM, pixels / (pixels - 1.0));
        let moments = &self.statistics.moments;
        let sides = [(&norm.mean, &moments.mean, 1.0), (&norm.variance, &moments.variance, unbiased)];
        for (place, batch, factor) in sides {
            let channels = running[place.clone()].iter_mut().zip(&batch[self.channels()]);
            for (running, batch) in channels.skip(norm.seen) {
                *running = T::of(keep * running.f64() + MOMENTUM * factor * batch.f64());
            }
        }
    }
}

//! Batch normalisation: `y = gamma * (x - mean) / sqrt(variance + EPSILON) + beta`, per channel.
//!
//! Training uses mean and variance of the batch and moves the running ones towards them; inference uses the running
//! ones. As in PyTorch, normalisation uses the biased variance and the running variance is updated with the unbiased
//! one.

use super::Shape4;
use crate::scalar::Scalar;

/// Added to the variance.
pub const EPSILON: f64 = 1e-5;

/// Share of the batch's statistics in the updated running ones.
pub const MOMENTUM: f64 = 0.1;

/// Mean and variance of each channel.
#[derive(Clone, Debug)]
pub struct Statistics<T> {
    /// `(C)`.
    pub mean: Vec<T>,
    /// `(C)`, biased if computed from a batch.
    pub variance: Vec<T>,
}

/// The source of a batch-norm's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The batch: they depend on the input.
    Batch,
    /// The running statistics: constants.
    Running,
}

/// Gradients of a batch-norm.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// `(N, C, H, W)`, with respect to the input.
    pub dx: Vec<T>,
    /// `(C)`, with respect to the scale.
    pub dgamma: Vec<T>,
    /// `(C)`, with respect to the shift.
    pub dbeta: Vec<T>,
}

/// Statistics of the batch `x` `(N, C, H, W)`, computed in two passes.
pub fn statistics<T: Scalar>(shape: Shape4, x: &[T]) -> Statistics<T> {
    let mean = channel_means(shape, |i, _| x[i]);
    let variance = channel_means(shape, |i, c| (x[i] - mean[c]) * (x[i] - mean[c]));
    Statistics { mean, variance }
}

/// Moves running statistics `mean` and `variance`, each `(C)`, towards those of a batch of `shape`.
pub fn update_running<T: Scalar>(shape: Shape4, batch: &Statistics<T>, mean: &mut [T], variance: &mut [T]) {
    let momentum = T::of(MOMENTUM);
    let count = shape.n * shape.plane();
    // A single value has no unbiased variance; its biased one, 0, is used instead.
    let unbias = T::of(count as f64 / count.saturating_sub(1).max(1) as f64);
    for c in 0..shape.c {
        mean[c] += momentum * (batch.mean[c] - mean[c]);
        variance[c] += momentum * (unbias * batch.variance[c] - variance[c]);
    }
}

/// `x` `(N, C, H, W)`, `gamma` and `beta` `(C)`; returns `y` `(N, C, H, W)`. Training passes the batch's statistics,
/// inference the running ones.
pub fn forward<T: Scalar>(shape: Shape4, x: &[T], statistics: &Statistics<T>, gamma: &[T], beta: &[T]) -> Vec<T> {
    map(shape, |i, c| gamma[c] * normalised(x[i], statistics, c) + beta[c])
}

/// Gradients given `dy` `(N, C, H, W)`, where `statistics` come from `source`.
pub fn backward<T: Scalar>(
    source: Source,
    shape: Shape4,
    x: &[T],
    statistics: &Statistics<T>,
    gamma: &[T],
    dy: &[T],
) -> Gradients<T> {
    let mean_dy = channel_means(shape, |i, _| dy[i]);
    let mean_dy_xh = channel_means(shape, |i, c| dy[i] * normalised(x[i], statistics, c));
    let dx = map(shape, |i, c| {
        let dxh = match source {
            Source::Batch => dy[i] - mean_dy[c] - normalised(x[i], statistics, c) * mean_dy_xh[c],
            Source::Running => dy[i],
        };
        gamma[c] * inverse_deviation(statistics, c) * dxh
    });
    let count = T::of((shape.n * shape.plane()) as f64);
    let total = |means: Vec<T>| means.into_iter().map(|mean| mean * count).collect();
    Gradients { dx, dgamma: total(mean_dy_xh), dbeta: total(mean_dy) }
}

fn normalised<T: Scalar>(x: T, statistics: &Statistics<T>, channel: usize) -> T {
    (x - statistics.mean[channel]) * inverse_deviation(statistics, channel)
}

fn inverse_deviation<T: Scalar>(statistics: &Statistics<T>, channel: usize) -> T {
    (statistics.variance[channel] + T::of(EPSILON)).sqrt().recip()
}

/// `f(element, channel)` for every element.
fn map<T: Scalar>(shape: Shape4, f: impl Fn(usize, usize) -> T) -> Vec<T> {
    shape
        .planes()
        .flat_map(|(start, c)| (start..start + shape.plane()).map(move |i| (i, c)))
        .map(|(i, c)| f(i, c))
        .collect()
}

/// Mean of `f(element, channel)` over each channel.
fn channel_means<T: Scalar>(shape: Shape4, f: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut sums = vec![T::zero(); shape.c];
    for (start, c) in shape.planes() {
        sums[c] += (start..start + shape.plane()).map(|i| f(i, c)).sum();
    }
    let count = T::of((shape.n * shape.plane()) as f64);
    sums.into_iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, extent, random};
    use super::*;

    /// Values 1 and 3: mean 2, biased variance 1, unbiased 2.
    #[test]
    fn by_hand() {
        let shape = Shape4::new(2, 1, 1, 1);
        let batch = statistics(shape, &[1.0, 3.0]);
        assert_eq!((batch.mean[0], batch.variance[0]), (2.0, 1.0));
        let (mut mean, mut variance) = ([1.0f64], [1.0f64]);
        update_running(shape, &batch, &mut mean, &mut variance);
        assert!((mean[0] - 1.1).abs() < 1e-15 && (variance[0] - 1.1).abs() < 1e-15);
        let y = forward(shape, &[1.0, 3.0], &batch, &[2.0], &[5.0]);
        let expected = 2.0 / (1.0f64 + 1e-5).sqrt();
        assert!((y[0] - (5.0 - expected)).abs() < 1e-15 && (y[1] - (5.0 + expected)).abs() < 1e-15);
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            let of = |stream, low, high| extent(seed, stream, low, high);
            let shape = Shape4::new(of(0, 1, 3), of(1, 1, 4), of(2, 2, 5), of(3, 2, 5));
            let (x, dy) = (random(seed, 4, shape.len()), random(seed, 5, shape.len()));
            let (gamma, beta) = (random(seed, 6, shape.c), random(seed, 7, shape.c));
            let gradients = backward(Source::Batch, shape, &x, &statistics(shape, &x), &gamma, &dy);
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                dot(&forward(shape, x, &statistics(shape, x), gamma, beta), &dy)
            };
            assert_gradient("dx", seed, &x, &gradients.dx, |x| loss(x, &gamma, &beta));
            assert_gradient("dgamma", seed, &gamma, &gradients.dgamma, |gamma| loss(&x, gamma, &beta));
            assert_gradient("dbeta", seed, &beta, &gradients.dbeta, |beta| loss(&x, &gamma, beta));
            let running = Statistics { mean: random(seed, 8, shape.c), variance: vec![0.7; shape.c] };
            let gradients = backward(Source::Running, shape, &x, &running, &gamma, &dy);
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| dot(&forward(shape, x, &running, gamma, beta), &dy);
            assert_gradient("dx", seed, &x, &gradients.dx, |x| loss(x, &gamma, &beta));
            assert_gradient("dgamma", seed, &gamma, &gradients.dgamma, |gamma| loss(&x, gamma, &beta));
            assert_gradient("dbeta", seed, &beta, &gradients.dbeta, |beta| loss(&x, &gamma, beta));
        }
    }
}

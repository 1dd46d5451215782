//! The only operation after the stem, the pre-activation convolution (section 3, "Composite function"): `y =
//! conv(relu(bn(x)))`.

use super::batch_norm::{self, Source, Statistics};
use super::conv::{self, Conv};
use super::{Shape4, relu};
use crate::scalar::Scalar;

/// Learnable values.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a, T> {
    /// `(C)`, scale of the batch-norm.
    pub gamma: &'a [T],
    /// `(C)`, shift of the batch-norm.
    pub beta: &'a [T],
    /// `(O, C, K, K)`, weights of the convolution.
    pub weight: &'a [T],
    /// `(O)`, bias of the convolution.
    pub bias: Option<&'a [T]>,
}

/// Gradients of the input and of every learnable value.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// `(N, C, H, W)`, of the input.
    pub dx: Vec<T>,
    /// `(C)`, of the batch-norm's scale.
    pub dgamma: Vec<T>,
    /// `(C)`, of the batch-norm's shift.
    pub dbeta: Vec<T>,
    /// `(O, C, K, K)`, of the kernels.
    pub dweight: Vec<T>,
    /// `(O)`, of the convolution's bias.
    pub dbias: Vec<T>,
}

/// `x` `(N, C, H, W)`; returns `y` `(N, O, H', W')`. Training passes the batch's statistics, inference the running ones.
pub fn forward<T: Scalar>(
    conv: &Conv,
    shape: Shape4,
    x: &[T],
    statistics: &Statistics<T>,
    parameters: Parameters<'_, T>,
) -> Vec<T> {
    let normalised = batch_norm::forward(shape, x, statistics, parameters.gamma, parameters.beta);
    conv.forward(shape, &relu::forward(&normalised), parameters.weight, parameters.bias)
}

/// Gradients, given `dy` `(N, O, H', W')`, where `statistics` come from `source`.
pub fn backward<T: Scalar>(
    source: Source,
    conv: &Conv,
    shape: Shape4,
    x: &[T],
    statistics: &Statistics<T>,
    parameters: Parameters<'_, T>,
    dy: &[T],
) -> Gradients<T> {
    let normalised = batch_norm::forward(shape, x, statistics, parameters.gamma, parameters.beta);
    let conv::Gradients { dx, dweight, dbias } =
        conv.backward(shape, &relu::forward(&normalised), parameters.weight, dy);
    let dnormalised = relu::backward(&normalised, &dx);
    let batch_norm::Gradients { dx, dgamma, dbeta } =
        batch_norm::backward(source, shape, x, statistics, parameters.gamma, &dnormalised);
    Gradients { dx, dgamma, dbeta, dweight, dbias }
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, extent, random};
    use super::*;

    #[test]
    fn gradients() {
        for seed in SEEDS {
            for kernel in [1, 3] {
                let of = |stream, low, high| extent(seed, stream, low, high);
                let shape = Shape4::new(of(0, 1, 3), of(1, 1, 3), of(2, 3, 6), of(3, 3, 6));
                check(seed, shape, Conv { out_channels: of(4, 1, 3), kernel, stride: 1, padding: kernel / 2 });
            }
        }
    }

    fn check(seed: u64, shape: Shape4, conv: Conv) {
        let x = random(seed, 5, shape.len());
        let (gamma, beta) = (random(seed, 6, shape.c), random(seed, 7, shape.c));
        let weight = random(seed, 8, conv.out_channels * shape.c * conv.kernel * conv.kernel);
        let bias = random(seed, 9, conv.out_channels);
        let dy = random(seed, 10, conv.output(shape).len());
        let parameters = Parameters { gamma: &gamma, beta: &beta, weight: &weight, bias: Some(&bias) };
        let gradients = backward(Source::Batch, &conv, shape, &x, &batch_norm::statistics(shape, &x), parameters, &dy);
        let loss = |x: &[f64], parameters: Parameters<'_, f64>| {
            dot(&forward(&conv, shape, x, &batch_norm::statistics(shape, x), parameters), &dy)
        };
        assert_gradient("dx", seed, &x, &gradients.dx, |x| loss(x, parameters));
        assert_gradient("dgamma", seed, &gamma, &gradients.dgamma, |gamma| {
            loss(&x, Parameters { gamma, ..parameters })
        });
        assert_gradient("dbeta", seed, &beta, &gradients.dbeta, |beta| loss(&x, Parameters { beta, ..parameters }));
        assert_gradient("dweight", seed, &weight, &gradients.dweight, |weight| {
            loss(&x, Parameters { weight, ..parameters })
        });
        assert_gradient("dbias", seed, &bias, &gradients.dbias, |bias| {
            loss(&x, Parameters { bias: Some(bias), ..parameters })
        });
    }
}

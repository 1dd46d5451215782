//! A linear map: `y = x w^T + b`.

use crate::scalar::Scalar;

/// Gradients of a linear map.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// `(N, C)`, with respect to the input.
    pub dx: Vec<T>,
    /// `(O, C)`, with respect to the weight.
    pub dweight: Vec<T>,
    /// `(O)`, with respect to the bias.
    pub dbias: Vec<T>,
}

/// `x` `(N, C)`, `weight` `(O, C)`, `bias` `(O)`; returns `y` `(N, O)`.
pub fn forward<T: Scalar>(x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
    let inputs = weight.len() / bias.len();
    let value = |x: &[T], o: usize| {
        let row = &weight[o * inputs..(o + 1) * inputs];
        bias[o] + x.iter().zip(row).map(|(&x, &w)| x * w).sum::<T>()
    };
    x.chunks_exact(inputs).flat_map(|x| (0..bias.len()).map(move |o| value(x, o))).collect()
}

/// Gradients, given `x` `(N, C)`, `weight` `(O, C)` and `dy` `(N, O)`, where `O` is `outputs`.
pub fn backward<T: Scalar>(outputs: usize, x: &[T], weight: &[T], dy: &[T]) -> Gradients<T> {
    let inputs = weight.len() / outputs;
    let mut dx = vec![T::zero(); x.len()];
    let mut dweight = vec![T::zero(); weight.len()];
    let mut dbias = vec![T::zero(); outputs];
    for (k, &dy) in dy.iter().enumerate() {
        let (n, o) = (k / outputs, k % outputs);
        dbias[o] += dy;
        for c in 0..inputs {
            dx[n * inputs + c] += dy * weight[o * inputs + c];
            dweight[o * inputs + c] += dy * x[n * inputs + c];
        }
    }
    Gradients { dx, dweight, dbias }
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, extent, random};
    use super::*;

    #[test]
    fn by_hand() {
        let weight = [1.0, 10.0, 100.0, 2.0, 20.0, 200.0];
        assert_eq!(forward(&[1.0, 2.0, 3.0], &weight, &[0.5, -0.5]), [321.5, 641.5]);
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            let of = |stream, low, high| extent(seed, stream, low, high);
            let (n, inputs, outputs) = (of(0, 1, 4), of(1, 1, 9), of(2, 1, 7));
            let (x, weight) = (random(seed, 3, n * inputs), random(seed, 4, outputs * inputs));
            let (bias, dy) = (random(seed, 5, outputs), random(seed, 6, n * outputs));
            let gradients = backward(outputs, &x, &weight, &dy);
            assert_gradient("dx", seed, &x, &gradients.dx, |x| dot(&forward(x, &weight, &bias), &dy));
            assert_gradient("dweight", seed, &weight, &gradients.dweight, |w| dot(&forward(&x, w, &bias), &dy));
            assert_gradient("dbias", seed, &bias, &gradients.dbias, |b| dot(&forward(&x, &weight, b), &dy));
        }
    }
}

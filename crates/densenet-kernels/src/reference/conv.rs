//! Convolution: `y[n,o,i,j] = b[o] + sum over c,u,v of w[o,c,u,v] * x[n, c, i*stride + u - padding, j*stride + v - padding]`,
//! where `x` is zero outside the picture.

use std::ops::Range;

use super::Shape4;
use crate::scalar::Scalar;

/// The geometry of a square convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Output channels.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels, in input pixels; at least 1.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

/// Gradients of a convolution.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// `(N, C, H, W)`, with respect to the input.
    pub dx: Vec<T>,
    /// `(O, C, K, K)`, with respect to the kernels.
    pub dweight: Vec<T>,
    /// `(O)`, with respect to the bias.
    pub dbias: Vec<T>,
}

impl Conv {
    /// Output extents for input extents; the padded input must hold at least one kernel.
    pub fn output(&self, input: Shape4) -> Shape4 {
        let extent = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        Shape4 { n: input.n, c: self.out_channels, h: extent(input.h), w: extent(input.w) }
    }

    /// `x` `(N, C, H, W)` of `shape`, `weight` `(O, C, K, K)`, `bias` `(O)`; returns `y` `(N, O, H', W')`.
    pub fn forward<T: Scalar>(&self, shape: Shape4, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let output = self.output(shape);
        let mut y = vec![T::zero(); output.len()];
        if let Some(bias) = bias {
            for (start, channel) in output.planes() {
                y[start..start + output.plane()].fill(bias[channel]);
            }
        }
        self.for_each_product(shape, |i, j, k| y[k] += x[i] * weight[j]);
        y
    }

    /// Gradients, given `x` and `weight` as in [`Self::forward`] and `dy` `(N, O, H', W')`.
    pub fn backward<T: Scalar>(&self, shape: Shape4, x: &[T], weight: &[T], dy: &[T]) -> Gradients<T> {
        let mut dx = vec![T::zero(); x.len()];
        let mut dweight = vec![T::zero(); weight.len()];
        self.for_each_product(shape, |i, j, k| {
            dx[i] += dy[k] * weight[j];
            dweight[j] += dy[k] * x[i];
        });
        let mut dbias = vec![T::zero(); self.out_channels];
        let output = self.output(shape);
        for (start, channel) in output.planes() {
            dbias[channel] += dy[start..start + output.plane()].iter().copied().sum();
        }
        Gradients { dx, dweight, dbias }
    }

    /// Calls `f(i, j, k)` for every product `x[i] * weight[j]` that is part of the sum `y[k]`. A convolution is this
    /// list of triples; forward and both gradients only differ in which member of a triple they sum into.
    pub(super) fn for_each_product(&self, input: Shape4, mut f: impl FnMut(usize, usize, usize)) {
        let output = self.output(input);
        for (n, o, c) in product3(input.n, output.c, input.c) {
            for (u, v) in product2(self.kernel, self.kernel) {
                let j = ((o * input.c + c) * self.kernel + u) * self.kernel + v;
                let columns = self.inside(v, input.w, output.w);
                for row in self.inside(u, input.h, output.h) {
                    let x = input.index(n, c, row * self.stride + u - self.padding, 0);
                    let y = output.index(n, o, row, 0);
                    for column in columns.clone() {
                        f(x + column * self.stride + v - self.padding, j, y + column);
                    }
                }
            }
        }
    }

    /// Output places for which kernel place `offset` reads within the `input` extent, not the padding.
    fn inside(&self, offset: usize, input: usize, output: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(offset).div_ceil(self.stride);
        let end = (input + self.padding).saturating_sub(offset).div_ceil(self.stride);
        start..end.min(output)
    }
}

fn product2(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

fn product3(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    product2(a, b).flat_map(move |(i, j)| (0..c).map(move |k| (i, j, k)))
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, extent, random};
    use super::*;

    /// A 2x2 kernel with stride 2 on a padded 3x3 picture, by hand.
    #[test]
    fn by_hand() {
        let conv = Conv { out_channels: 1, kernel: 2, stride: 2, padding: 1 };
        let x = [1., 2., 3., 4., 5., 6., 7., 8., 9.];
        let y = conv.forward(Shape4::new(1, 1, 3, 3), &x, &[1., 10., 100., 1000.], Some(&[0.5]));
        assert_eq!(y, [1000.5, 3200.5, 7040.5, 9865.5]);
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (7, 2, 3), (2, 3, 0), (5, 2, 1)] {
                let of = |stream, low, high| extent(seed, stream, low, high);
                let shape = Shape4::new(of(0, 1, 2), of(1, 1, 3), of(2, 5, 8), of(3, 5, 8));
                let conv = Conv { out_channels: of(4, 1, 3), kernel, stride, padding };
                check(seed, shape, conv);
            }
        }
    }

    fn check(seed: u64, shape: Shape4, conv: Conv) {
        let x = random(seed, 5, shape.len());
        let weight = random(seed, 6, conv.out_channels * shape.c * conv.kernel * conv.kernel);
        let bias = random(seed, 7, conv.out_channels);
        let dy = random(seed, 8, conv.output(shape).len());
        let gradients = conv.backward(shape, &x, &weight, &dy);
        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| dot(&conv.forward(shape, x, weight, Some(bias)), &dy);
        let what = format!("{conv:?} of {shape:?}");
        assert_gradient(&format!("dx of {what}"), seed, &x, &gradients.dx, |x| loss(x, &weight, &bias));
        assert_gradient(&format!("dweight of {what}"), seed, &weight, &gradients.dweight, |w| loss(&x, w, &bias));
        assert_gradient(&format!("dbias of {what}"), seed, &bias, &gradients.dbias, |b| loss(&x, &weight, b));
    }
}

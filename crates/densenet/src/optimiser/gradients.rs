//! Gradients for an optimiser, possibly clipped to a norm.

use densenet_kernels::simd::{Operation, Simd};
use densenet_kernels::{Real, Scalar};
use rayon::prelude::*;

use super::PIECE;

/// Gradients in the arena's order, and a factor by which an optimiser multiplies them as it reads them.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<'a, T> {
    /// One for each parameter.
    pub values: &'a [T],
    /// The factor by which they are multiplied.
    pub factor: f64,
}

impl<'a, T> From<&'a [T]> for Gradients<'a, T> {
    fn from(values: &'a [T]) -> Self {
        Self { values, factor: 1.0 }
    }
}

impl<'a, T> From<&'a Vec<T>> for Gradients<'a, T> {
    fn from(values: &'a Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<'a, T: Real> Gradients<'a, T> {
    /// Gradients whose norm over all parameters is at most `most`, like `torch.nn.utils.clip_grad_norm_`.
    pub fn clipped(values: &'a [T], most: f64) -> Self {
        Self { values, factor: (most / (norm(values) + 1e-6)).min(1.0) }
    }
}

/// The Euclidean norm of `values`, summed in double precision.
pub fn norm<T: Real>(values: &[T]) -> f64 {
    let pieces: Vec<f64> = values.par_chunks(PIECE).map(|piece| T::dispatch(SumOfSquares(piece))).collect();
    pieces.iter().sum::<f64>().sqrt()
}

/// Number of independent partial sums, which need not wait for each other.
const SUMS: usize = 32;

struct SumOfSquares<'a, T>(&'a [T]);

impl<T: Scalar> Operation<T> for SumOfSquares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) -> f64 {
        let mut sums = [0.0; SUMS];
        let (groups, rest) = self.0.as_chunks::<SUMS>();
        for group in groups {
            for (sum, value) in sums.iter_mut().zip(group) {
                *sum += value.f64() * value.f64();
            }
        }
        for (sum, value) in sums.iter_mut().zip(rest) {
            *sum += value.f64() * value.f64();
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_by_hand() {
        assert_eq!(norm(&[3.0f32, -4.0]), 5.0);
        // Whole pieces, groups and a remainder.
        let values: Vec<f64> = (0..2 * PIECE + 2 * SUMS + 5).map(|i| (i % 7) as f64).collect();
        let expected = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((norm(&values) / expected - 1.0).abs() < 1e-14);
    }

    /// PyTorch 2.15.0:
    ///
    /// ```python
    /// p = torch.zeros(2, dtype=torch.float64, requires_grad=True); p.grad = torch.tensor([3.0, -4.0]).double()
    /// torch.nn.utils.clip_grad_norm_(p, 2.0); print(p.grad)   # [1.199999760000048, -1.599999680000064]
    /// ```
    #[test]
    fn clips_as_pytorch() {
        let clipped = Gradients::clipped(&[3.0, -4.0], 2.0);
        assert!((clipped.factor * 3.0 - 1.199999760000048).abs() < 1e-15);
        assert_eq!(Gradients::clipped(&[3.0, -4.0], 5.5).factor, 1.0);
    }
}

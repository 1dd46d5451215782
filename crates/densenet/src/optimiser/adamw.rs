//! Adam with decoupled weight decay.

use densenet_kernels::simd::{Operation, Simd};
use densenet_kernels::{Real, Scalar};
use rayon::prelude::*;

use super::{Gradients, PIECE, Rates};

/// The shares of the two moments that a step keeps.
const BETAS: (f64, f64) = (0.9, 0.999);

/// Prevents a division by 0 for a parameter without gradients.
const EPSILON: f64 = 1e-8;

/// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as `torch.optim.AdamW` with its own betas and
/// epsilon. For a parameter `p`, its gradient `g`, its moments `m` and `v`, at step `t` (from 1):
///
/// ```text
/// p = p - learning_rate * weight_decay * p
/// m = 0.9 m + 0.1 g        v = 0.999 v + 0.001 g^2
/// p = p - learning_rate * m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW<T> {
    /// Share of the parameter that a step with learning rate 1 subtracts.
    pub weight_decay: f64,
    /// Number of steps done.
    pub steps: u64,
    /// Moving averages of the gradients, one for each parameter in the arena's order.
    pub first: Vec<T>,
    /// Moving averages of the squared gradients.
    pub second: Vec<T>,
}

impl<T: Real> AdamW<T> {
    /// An optimiser of `parameters` values before its first step.
    pub fn new(parameters: usize, weight_decay: f64) -> Self {
        let zeros = || vec![T::zero(); parameters];
        Self { weight_decay, steps: 0, first: zeros(), second: zeros() }
    }

    /// Takes one step of `learning_rate` down `gradients`; both slices are in the arena's order and as long as the
    /// moments.
    pub fn step<'a>(
        &mut self,
        learning_rate: impl Into<Rates>,
        parameters: &mut [T],
        gradients: impl Into<Gradients<'a, T>>,
    ) {
        let Gradients { values, factor } = gradients.into();
        assert_eq!(parameters.len(), self.first.len(), "parameters and moments differ in number");
        assert_eq!(values.len(), self.first.len(), "gradients and moments differ in number");
        self.steps += 1;
        let unbiased = |beta: f64| 1.0 - beta.powi(self.steps.min(1 << 30) as i32);
        for (range, rate) in learning_rate.into().parts(parameters.len()) {
            let rule = Rule {
                keep: T::of(1.0 - rate * self.weight_decay),
                rate: T::of(rate / unbiased(BETAS.0)),
                root: T::of(unbiased(BETAS.1).sqrt()),
                factor: T::of(factor),
            };
            let pieces = parameters[range.clone()].par_chunks_mut(PIECE).zip(values[range.clone()].par_chunks(PIECE));
            let first = self.first[range.clone()].par_chunks_mut(PIECE);
            let moments = first.zip(self.second[range].par_chunks_mut(PIECE));
            pieces.zip(moments).for_each(|((parameters, gradients), (first, second))| {
                T::dispatch(Piece { rule, parameters, gradients, first, second });
            });
        }
    }
}

/// A step's constants.
#[derive(Clone, Copy)]
struct Rule<T> {
    keep: T,
    rate: T,
    root: T,
    factor: T,
}

struct Piece<'a, T> {
    rule: Rule<T>,
    parameters: &'a mut [T],
    gradients: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
}

impl<T: Scalar> Operation<T> for Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let Rule { keep, rate, root, factor } = self.rule;
        let (kept, added) = ((T::of(BETAS.0), T::of(BETAS.1)), (T::of(1.0 - BETAS.0), T::of(1.0 - BETAS.1)));
        let epsilon = T::of(EPSILON);
        let moments = self.first.iter_mut().zip(self.second);
        for ((p, g), (m, v)) in self.parameters.iter_mut().zip(self.gradients).zip(moments) {
            let g = *g * factor;
            *m = kept.0 * *m + added.0 * g;
            *v = kept.1 * *v + added.1 * (g * g);
            *p = keep * *p - rate * *m / (v.sqrt() / root + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.15.0:
    ///
    /// ```python
    /// p = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    /// adamw = torch.optim.AdamW([p], weight_decay=0.1)
    /// for t in range(1, 6):
    ///     adamw.param_groups[0]["lr"] = 0.01 * t
    ///     p.grad = torch.tensor([0.3 * t, -1.0 / t, 0.0], dtype=torch.float64)
    ///     adamw.step()
    /// print(p.tolist())
    /// ```
    #[test]
    fn equals_pytorch() {
        let expected = [0.8410830144290299, -1.8444990720611105, 0.4925423876369399];
        let mut adamw = AdamW::new(3, 0.1);
        let mut parameters = [1.0, -2.0, 0.5];
        for t in 1..=5 {
            let t = f64::from(t);
            adamw.step(0.01 * t, &mut parameters, &[0.3 * t, -1.0 / t, 0.0][..]);
        }
        for (ours, theirs) in parameters.iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-14, "{parameters:?}");
        }
    }
}

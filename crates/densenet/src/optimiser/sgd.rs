//! Stochastic gradient descent.

use densenet_kernels::simd::{Operation, Simd};
use densenet_kernels::{Real, Scalar};
use rayon::prelude::*;

use super::{Gradients, PIECE, Rates};

/// Gradient descent with momentum and weight decay. For a parameter `p`, its gradient `g` and its velocity `v`:
///
/// ```text
/// g = g + weight_decay * p
/// v = momentum * v + g
/// p = p - learning_rate * (g + momentum * v)      with Nesterov's momentum
/// p = p - learning_rate * v                       without
/// ```
///
/// The velocity starts at 0 and, unlike in Sutskever's form, does not include the learning rate, so a schedule acts at
/// once. Weight decay acts on every parameter, including batch-norms' and biases, as in the paper (section 4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd<T> {
    /// Share of the velocity that is kept; at least 0, less than 1.
    pub momentum: f64,
    /// Whether the step looks ahead along the velocity (Nesterov).
    pub nesterov: bool,
    /// Factor by which the parameter is added to its gradient.
    pub weight_decay: f64,
    /// One for each parameter, in the arena's order; with the parameters it is the complete state of training.
    pub velocity: Vec<T>,
}

impl<T: Real> Sgd<T> {
    /// An optimiser of `parameters` values, at rest.
    pub fn new(parameters: usize, momentum: f64, nesterov: bool, weight_decay: f64) -> Self {
        Self { momentum, nesterov, weight_decay, velocity: vec![T::zero(); parameters] }
    }

    /// Takes one step of `learning_rate` down `gradients`; both slices are in the arena's order and as long as the
    /// velocity.
    pub fn step<'a>(
        &mut self,
        learning_rate: impl Into<Rates>,
        parameters: &mut [T],
        gradients: impl Into<Gradients<'a, T>>,
    ) {
        let Gradients { values, factor } = gradients.into();
        assert_eq!(parameters.len(), self.velocity.len(), "parameters and velocity differ in number");
        assert_eq!(values.len(), self.velocity.len(), "gradients and velocity differ in number");
        for (range, rate) in learning_rate.into().parts(parameters.len()) {
            let rule = Rule {
                rate: T::of(rate),
                decay: T::of(self.weight_decay),
                momentum: T::of(self.momentum),
                nesterov: self.nesterov,
                factor: T::of(factor),
            };
            let pieces = parameters[range.clone()].par_chunks_mut(PIECE).zip(values[range.clone()].par_chunks(PIECE));
            pieces.zip(self.velocity[range].par_chunks_mut(PIECE)).for_each(|((parameters, gradients), velocity)| {
                T::dispatch(Piece { rule, parameters, gradients, velocity });
            });
        }
    }
}

/// The rule's constants.
#[derive(Clone, Copy)]
struct Rule<T> {
    rate: T,
    decay: T,
    momentum: T,
    nesterov: bool,
    factor: T,
}

struct Piece<'a, T> {
    rule: Rule<T>,
    parameters: &'a mut [T],
    gradients: &'a [T],
    velocity: &'a mut [T],
}

impl<T: Scalar> Operation<T> for Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        let Rule { rate, decay, momentum, nesterov, factor } = self.rule;
        let weights = if nesterov { (T::one(), momentum) } else { (T::zero(), T::one()) };
        for ((p, g), v) in self.parameters.iter_mut().zip(self.gradients).zip(self.velocity) {
            let g = *g * factor + decay * *p;
            *v = momentum * *v + g;
            *p -= rate * (weights.0 * g + weights.1 * *v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps with gradient 1 from parameter 1, computed by hand.
    fn two_steps(momentum: f64, nesterov: bool, weight_decay: f64) -> f64 {
        let mut sgd = Sgd::new(1, momentum, nesterov, weight_decay);
        let mut parameter = [1.0f64];
        sgd.step(0.1, &mut parameter, &[1.0][..]);
        sgd.step(0.1, &mut parameter, &[1.0][..]);
        parameter[0]
    }

    #[test]
    fn by_hand() {
        // Plain: 1 - 0.1 - 0.1.
        assert!((two_steps(0.0, false, 0.0) - 0.8).abs() < 1e-15);
        // Velocities 1 and 1.5.
        assert!((two_steps(0.5, false, 0.0) - 0.75).abs() < 1e-15);
        // Steps of 1 + 0.5 * 1 and 1 + 0.5 * 1.5.
        assert!((two_steps(0.5, true, 0.0) - 0.675).abs() < 1e-15);
        // Gradients 1.1 and 1 + 0.1 * 0.89.
        assert!((two_steps(0.0, false, 0.1) - (0.89 - 0.1089)).abs() < 1e-15);
    }

    #[test]
    fn gradients_are_taken_times_their_factor() {
        let mut sgd = Sgd::new(1, 0.0, false, 0.0);
        let mut parameter = [1.0f64];
        sgd.step(0.1, &mut parameter, Gradients { values: &[4.0], factor: 0.5 });
        assert!((parameter[0] - 0.8).abs() < 1e-15);
    }

    #[test]
    #[should_panic(expected = "gradients and velocity differ in number")]
    fn lengths_must_agree() {
        Sgd::new(1, 0.9, true, 0.0).step(0.1, &mut [0.0], &[][..]);
    }
}

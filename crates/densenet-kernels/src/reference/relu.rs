//! Rectification: `y = max(x, 0)`.

use crate::scalar::Scalar;

/// Any shape; NaN stays NaN.
pub fn forward<T: Scalar>(x: &[T]) -> Vec<T> {
    x.iter().map(|&x| if x <= T::zero() { T::zero() } else { x }).collect()
}

/// `dx` given `x` and `dy` of the same shape; the derivative at 0 is 0.
pub fn backward<T: Scalar>(x: &[T], dy: &[T]) -> Vec<T> {
    x.iter().zip(dy).map(|(&x, &dy)| if x <= T::zero() { T::zero() } else { dy }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, random};
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(forward(&[-1.0, 0.0, 2.0]), [0.0, 0.0, 2.0]);
        assert_eq!(backward(&[-1.0, 0.0, 2.0], &[3.0, 4.0, 5.0]), [0.0, 0.0, 5.0]);
        assert!(forward(&[f64::NAN])[0].is_nan());
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            let (x, dy) = (random(seed, 0, 101), random(seed, 1, 101));
            assert_gradient("dx", seed, &x, &backward(&x, &dy), |x| dot(&forward(x), &dy));
        }
    }
}

//! Dropout: an element is zeroed with probability `p` and scaled by `1 / (1 - p)` otherwise.

use crate::random::Stream;
use crate::scalar::Scalar;

/// `x` `(N, C, H, W)`, `p` in `[0, 1)`. Scalar `((n * C + c) * H + y) * W + x` is kept if [`Stream::keep`] of `stream`
/// says so, whatever the order in memory. The same function maps `dy` to `dx`.
pub fn dropout<T: Scalar>(x: &[T], stream: Stream, p: f64) -> Vec<T> {
    let scale = T::of(1.0 / (1.0 - p));
    let value = |(i, &x): (usize, &T)| if stream.keep(i as u64, p) { x * scale } else { T::zero() };
    x.iter().enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, random};
    use super::*;

    #[test]
    fn keeps_the_mean() {
        let y = dropout(&vec![1.0; 100_000], Stream::new(3, 1), 0.2);
        assert!(y.iter().all(|&y| y == 0.0 || y == 1.25));
        assert!((y.iter().sum::<f64>() / 1e5 - 1.0).abs() < 0.006);
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            let (x, dy, stream) = (random(seed, 0, 101), random(seed, 1, 101), Stream::new(seed, 2));
            assert_gradient("dx", seed, &x, &dropout(&dy, stream, 0.3), |x| dot(&dropout(x, stream, 0.3), &dy));
        }
    }
}

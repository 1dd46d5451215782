//! Softmax cross-entropy with label smoothing, the mean over the batch, by PyTorch's definition: the target is
//! `1 - smoothing` at the label, plus `smoothing / classes` everywhere.

use crate::scalar::Scalar;

/// Mean loss of `logits` `(N, classes)` for `labels` `(N)`, each below `classes`; `smoothing` in `[0, 1]`.
pub fn forward<T: Scalar>(logits: &[T], labels: &[usize], smoothing: f64) -> T {
    let classes = logits.len() / labels.len();
    let loss = |(logits, &label): (&[T], &usize)| -> T {
        let log_sum = log_sum_exp(logits);
        (0..classes).map(|class| target::<T>(class, label, classes, smoothing) * (log_sum - logits[class])).sum()
    };
    let total: T = logits.chunks_exact(classes).zip(labels).map(loss).sum();
    total / T::of(labels.len() as f64)
}

/// Gradient `(N, classes)` of the mean loss: `(softmax - target) / N`.
pub fn backward<T: Scalar>(logits: &[T], labels: &[usize], smoothing: f64) -> Vec<T> {
    let classes = logits.len() / labels.len();
    let count = T::of(labels.len() as f64);
    let mut dlogits = Vec::with_capacity(logits.len());
    for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
        let log_sum = log_sum_exp(logits);
        dlogits
            .extend((0..classes).map(|class| {
                ((logits[class] - log_sum).exp() - target::<T>(class, label, classes, smoothing)) / count
            }));
    }
    dlogits
}

fn target<T: Scalar>(class: usize, label: usize, classes: usize, smoothing: f64) -> T {
    let uniform = smoothing / classes as f64;
    T::of(if class == label { 1.0 - smoothing + uniform } else { uniform })
}

/// Logarithm of the sum of exponentials; the largest is taken out so that none overflows.
fn log_sum_exp<T: Scalar>(logits: &[T]) -> T {
    let largest = logits.iter().copied().fold(T::neg_infinity(), T::max);
    largest + logits.iter().map(|&logit| (logit - largest).exp()).sum::<T>().ln()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, extent, random};
    use super::*;

    /// Equal logits give ln(classes), with and without smoothing, however large they are.
    #[test]
    fn by_hand() {
        for smoothing in [0.0, 0.1] {
            assert!((forward(&[1e4; 6], &[0, 2], smoothing) - 3f64.ln()).abs() < 1e-12);
        }
        let certain: f64 = forward(&[0.0, 20.0], &[1], 0.1);
        assert!((certain - 1.0).abs() < 1e-8, "0.95 * 0 + 0.05 * 20, not {certain}");
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            for smoothing in [0.0, 0.1] {
                let (n, classes) = (extent(seed, 0, 1, 5), extent(seed, 1, 2, 11));
                let logits = random(seed, 2, n * classes);
                let labels: Vec<usize> = (0..n).map(|i| extent(seed, 3 + i as u64, 0, classes - 1)).collect();
                let dlogits = backward(&logits, &labels, smoothing);
                assert_gradient("dlogits", seed, &logits, &dlogits, |x| forward(x, &labels, smoothing));
            }
        }
    }
}

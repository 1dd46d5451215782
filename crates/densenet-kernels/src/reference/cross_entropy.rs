//! Softmax cross-entropy with label smoothing and class weights: the mean over the batch, weighted by the weight of
//! each picture's classes, as PyTorch defines it for class indices. A class's smoothed target is `1 - smoothing` of the
//! original plus `smoothing / classes`.

use crate::scalar::Scalar;

/// Mean loss of `logits` for `targets`, both `(N, classes)`; `smoothing` in `[0, 1]`.
pub fn forward<T: Scalar>(logits: &[T], targets: &[T], classes: usize, smoothing: f64, weights: Option<&[f32]>) -> T {
    let mut total = T::zero();
    for (logits, targets) in logits.chunks_exact(classes).zip(targets.chunks_exact(classes)) {
        let log_sum = log_sum_exp(logits);
        for c in 0..classes {
            total += weight::<T>(weights, c) * smoothed(targets[c], classes, smoothing) * (log_sum - logits[c]);
        }
    }
    total / whole(targets, classes, weights)
}

/// Gradient `(N, classes)` of the mean loss.
pub fn backward<T: Scalar>(
    logits: &[T],
    targets: &[T],
    classes: usize,
    smoothing: f64,
    weights: Option<&[f32]>,
) -> Vec<T> {
    let whole = whole(targets, classes, weights);
    let mut dlogits = Vec::with_capacity(logits.len());
    for (logits, targets) in logits.chunks_exact(classes).zip(targets.chunks_exact(classes)) {
        let log_sum = log_sum_exp(logits);
        let target = |c: usize| weight::<T>(weights, c) * smoothed(targets[c], classes, smoothing);
        let sum: T = (0..classes).map(target).sum();
        dlogits.extend((0..classes).map(|c| ((logits[c] - log_sum).exp() * sum - target(c)) / whole));
    }
    dlogits
}

/// The total weight of all pictures.
fn whole<T: Scalar>(targets: &[T], classes: usize, weights: Option<&[f32]>) -> T {
    targets.iter().enumerate().map(|(i, &target)| target * weight(weights, i % classes)).sum()
}

fn weight<T: Scalar>(weights: Option<&[f32]>, class: usize) -> T {
    T::of(weights.map_or(1.0, |weights| weights[class].into()))
}

fn smoothed<T: Scalar>(target: T, classes: usize, smoothing: f64) -> T {
    T::of(1.0 - smoothing) * target + T::of(smoothing / classes as f64)
}

/// Logarithm of the sum of exponentials; the largest is factored out so that none overflows.
fn log_sum_exp<T: Scalar>(logits: &[T]) -> T {
    let largest = logits.iter().copied().fold(T::neg_infinity(), T::max);
    largest + logits.iter().map(|&logit| (logit - largest).exp()).sum::<T>().ln()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, extent, random};
    use super::*;

    fn one_hot(labels: &[usize], classes: usize) -> Vec<f64> {
        labels.iter().flat_map(|&label| (0..classes).map(move |c| f64::from(u8::from(c == label)))).collect()
    }

    /// Equal logits give ln(classes), with and without smoothing, however large they are.
    #[test]
    fn by_hand() {
        for smoothing in [0.0, 0.1] {
            let loss: f64 = forward(&[1e4; 6], &one_hot(&[0, 2], 3), 3, smoothing, None);
            assert!((loss - 3f64.ln()).abs() < 1e-12);
        }
        let certain: f64 = forward(&[0.0, 20.0], &[0.0, 1.0], 2, 0.1, None);
        assert!((certain - 1.0).abs() < 1e-8, "0.95 * 0 + 0.05 * 20, not {certain}");
    }

    /// torch.nn.functional.cross_entropy(torch.tensor([[1., 2, 0.5], [0.3, -1, 2]], dtype=torch.float64),
    /// torch.tensor([2, 0]), weight=torch.tensor([0.5, 2, 3], dtype=torch.float64), label_smoothing=0.1)
    #[test]
    fn equals_pytorch() {
        let loss: f64 = forward(&[1.0, 2.0, 0.5, 0.3, -1.0, 2.0], &one_hot(&[2, 0], 3), 3, 0.1, Some(&[0.5, 2.0, 3.0]));
        assert!((loss - 1.9089456608542226).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            for (smoothing, weighted) in [(0.0, false), (0.1, false), (0.1, true)] {
                let (n, classes) = (extent(seed, 0, 1, 5), extent(seed, 1, 2, 11));
                let logits = random(seed, 2, n * classes);
                let labels: Vec<usize> = (0..n).map(|i| extent(seed, 3 + i as u64, 0, classes - 1)).collect();
                let targets = one_hot(&labels, classes);
                let weights: Vec<f32> = (0..classes).map(|c| 0.5 + c as f32).collect();
                let weights = weighted.then_some(&weights[..]);
                let dlogits = backward(&logits, &targets, classes, smoothing, weights);
                let loss = |x: &[f64]| forward(x, &targets, classes, smoothing, weights);
                assert_gradient("dlogits", seed, &logits, &dlogits, loss);
            }
        }
    }
}

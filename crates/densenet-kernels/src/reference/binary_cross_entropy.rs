//! Binary cross-entropy of independent labels, as in `torch.nn.BCEWithLogitsLoss`: the mean over the labels that are
//! known.

use crate::scalar::Scalar;

/// Mean loss of `logits` for `targets`, both `(N, classes)`; a target is from 0 to 1, or NaN if not known.
pub fn forward<T: Scalar>(logits: &[T], targets: &[T], classes: usize, pos_weight: Option<&[f32]>) -> T {
    let mut total = T::zero();
    for (i, (&logit, &target)) in logits.iter().zip(targets).enumerate().filter(|(_, (_, target))| !target.is_nan()) {
        let (yes, no) = (sigmoid(logit).ln(), sigmoid(-logit).ln());
        total -= weight::<T>(pos_weight, i % classes) * target * yes + (T::one() - target) * no;
    }
    total / known(targets)
}

/// Gradient `(N, classes)` of the mean loss.
pub fn backward<T: Scalar>(logits: &[T], targets: &[T], classes: usize, pos_weight: Option<&[f32]>) -> Vec<T> {
    let gradient = |(i, (&logit, &target)): (usize, (&T, &T))| {
        if target.is_nan() {
            return T::zero();
        }
        let positive = weight::<T>(pos_weight, i % classes) * target;
        ((T::one() - target) * sigmoid(logit) - positive * sigmoid(-logit)) / known(targets)
    };
    logits.iter().zip(targets).enumerate().map(gradient).collect()
}

fn known<T: Scalar>(targets: &[T]) -> T {
    T::of(targets.iter().filter(|target| !target.is_nan()).count() as f64)
}

fn weight<T: Scalar>(pos_weight: Option<&[f32]>, class: usize) -> T {
    T::of(pos_weight.map_or(1.0, |weights| weights[class].into()))
}

fn sigmoid<T: Scalar>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, extent, random};
    use super::*;

    /// torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2., 0.5]))(logits, targets) of the known labels.
    #[test]
    fn equals_pytorch() {
        let loss: f64 = forward(&[1.5, -2.0, 0.25, 3.0], &[1.0, 0.0, f64::NAN, 0.0], 2, Some(&[2.0, 0.5]));
        assert!((loss - 1.1927806395274063).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn gradients() {
        for seed in SEEDS {
            let (n, classes) = (extent(seed, 0, 1, 5), extent(seed, 1, 1, 11));
            let logits = random(seed, 2, n * classes);
            let target =
                |i: usize| [0.0, 1.0, 0.3, f64::NAN][if i == 0 { 1 } else { extent(seed, 3 + i as u64, 0, 3) }];
            let targets: Vec<f64> = (0..n * classes).map(target).collect();
            let weights: Vec<f32> = (0..classes).map(|c| 0.5 + c as f32).collect();
            for pos_weight in [None, Some(&weights[..])] {
                let dlogits = backward(&logits, &targets, classes, pos_weight);
                let loss = |x: &[f64]| forward(x, &targets, classes, pos_weight);
                assert_gradient("dlogits", seed, &logits, &dlogits, loss);
            }
        }
    }
}

//! The loss that training minimises.

use crate::scalar::Scalar;

/// Softmax cross-entropy with label smoothing, the mean over a batch, and its gradient, by PyTorch's definition: the target
/// is `1 - smoothing` at the label, plus `smoothing / classes` everywhere.
///
/// `logits` are `(N, classes)`, `labels` `(N)`, each below `classes`; `smoothing` is in `[0, 1]`. The gradient,
/// `(softmax - target) / N`, is laid out as the logits.
///
/// # Panics
/// There are not as many logits in every row, or a label is no class.
pub fn cross_entropy<T: Scalar>(logits: &[T], labels: &[usize], smoothing: f64) -> (T, Vec<T>) {
    let classes = logits.len() / labels.len();
    assert_eq!(logits.len(), classes * labels.len(), "logits of {} pictures", labels.len());
    let (count, uniform) = (T::of(labels.len() as f64), smoothing / classes as f64);
    let mut dlogits = Vec::with_capacity(logits.len());
    let mut total = T::zero();
    for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
        assert!(label < classes, "label {label} of {classes} classes");
        let log_sum = log_sum_exp(logits);
        let target = |class: usize| T::of(if class == label { 1.0 - smoothing + uniform } else { uniform });
        total += logits.iter().enumerate().map(|(class, &logit)| target(class) * (log_sum - logit)).sum();
        dlogits
            .extend(logits.iter().enumerate().map(|(class, &logit)| ((logit - log_sum).exp() - target(class)) / count));
    }
    (total / count, dlogits)
}

/// Logarithm of the sum of exponentials; the largest is taken out so that none overflows.
fn log_sum_exp<T: Scalar>(logits: &[T]) -> T {
    let largest = logits.iter().copied().fold(T::neg_infinity(), T::max);
    largest + logits.iter().map(|&logit| (logit - largest).exp()).sum::<T>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::reference::cross_entropy as reference;

    #[test]
    fn equals_the_reference() {
        for (case, (count, classes)) in [(1, 2), (5, 10), (3, 1000)].into_iter().enumerate() {
            let stream = Stream::new(1, case as u64);
            let logits: Vec<f64> = (0..count * classes).map(|i| 5.0 * stream.normal(i as u64)).collect();
            let labels: Vec<usize> = (0..count).map(|i| i * 7 % classes).collect();
            for smoothing in [0.0, 0.1] {
                let (loss, dlogits) = cross_entropy(&logits, &labels, smoothing);
                assert!((loss - reference::forward(&logits, &labels, smoothing)).abs() < 1e-12);
                let expected = reference::backward(&logits, &labels, smoothing);
                assert!(dlogits.iter().zip(&expected).all(|(have, want)| (have - want).abs() < 1e-12));
            }
        }
    }
}

//! The losses that training minimises.

use crate::scalar::Scalar;

/// The loss that training minimises, a mean over a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss<'a> {
    /// Softmax cross-entropy, for mutually exclusive classes; a picture's targets are its share of each class and add
    /// up to 1.
    CrossEntropy {
        /// Share of the targets that is spread evenly over all classes, in `[0, 1]`.
        label_smoothing: f64,
        /// Weight of the pictures of each class; `None` for 1 each. The mean is weighted, as in
        /// `torch.nn.CrossEntropyLoss` with class indices.
        class_weights: Option<&'a [f32]>,
    },
    /// Binary cross-entropy of independent labels, as in `torch.nn.BCEWithLogitsLoss`; targets are from 0 to 1, or NaN
    /// where not known, which is left out of the mean.
    BinaryCrossEntropy {
        /// Weight of each label in the pictures that have it; `None` for 1 each.
        pos_weight: Option<&'a [f32]>,
    },
}

impl Default for Loss<'_> {
    fn default() -> Self {
        Self::CrossEntropy { label_smoothing: 0.0, class_weights: None }
    }
}

impl Loss<'_> {
    /// The divisor of the mean: the weight of all pictures, or the number of known labels. `targets` are `(N,
    /// classes)`.
    pub fn weight<T: Scalar>(&self, targets: &[T], classes: usize) -> f64 {
        match self {
            Self::CrossEntropy { class_weights, .. } => {
                let weighted = |(i, target): (usize, &T)| target.f64() * of_class(*class_weights, i % classes);
                targets.iter().enumerate().map(weighted).sum()
            }
            Self::BinaryCrossEntropy { .. } => targets.iter().filter(|target| !target.is_nan()).count() as f64,
        }
    }

    /// The mean loss of `logits` for `targets`, both `(N, classes)`, and its gradient, laid out like them; 0 if the
    /// [weight](Self::weight) is 0.
    ///
    /// # Panics
    /// If the numbers of targets and logits differ.
    pub fn evaluate<T: Scalar>(&self, logits: &[T], targets: &[T], classes: usize) -> (T, Vec<T>) {
        assert_eq!(logits.len(), targets.len(), "logits and targets differ in number");
        let weight = self.weight(targets, classes);
        let scale = T::of(if weight > 0.0 { 1.0 / weight } else { 0.0 });
        let mut dlogits = Vec::with_capacity(logits.len());
        let mut total = T::zero();
        for (logits, targets) in logits.chunks_exact(classes).zip(targets.chunks_exact(classes)) {
            total += match *self {
                Self::CrossEntropy { label_smoothing, class_weights } => {
                    let (kept, uniform) = (T::of(1.0 - label_smoothing), T::of(label_smoothing / classes as f64));
                    let target = |c: usize| T::of(of_class(class_weights, c)) * (kept * targets[c] + uniform);
                    cross_entropy(logits, target, scale, &mut dlogits)
                }
                Self::BinaryCrossEntropy { pos_weight } => {
                    binary_cross_entropy(logits, targets, |c| T::of(of_class(pos_weight, c)), scale, &mut dlogits)
                }
            };
        }
        (total * scale, dlogits)
    }
}

fn of_class(weights: Option<&[f32]>, class: usize) -> f64 {
    weights.map_or(1.0, |weights| weights[class].into())
}

/// The loss of a picture; its gradient, times `scale`, is appended to `dlogits`.
fn cross_entropy<T: Scalar>(logits: &[T], target: impl Fn(usize) -> T, scale: T, dlogits: &mut Vec<T>) -> T {
    let log_sum = log_sum_exp(logits);
    let whole: T = (0..logits.len()).map(&target).sum();
    let gradient = |(c, &logit): (usize, &T)| ((logit - log_sum).exp() * whole - target(c)) * scale;
    dlogits.extend(logits.iter().enumerate().map(gradient));
    logits.iter().enumerate().map(|(c, &logit)| target(c) * (log_sum - logit)).sum()
}

/// The sum of the losses of a picture's known labels, `y w softplus(-z) + (1 - y) softplus(z)`; its gradient, times
/// `scale`, is appended to `dlogits`.
fn binary_cross_entropy<T: Scalar>(
    logits: &[T],
    targets: &[T],
    positive: impl Fn(usize) -> T,
    scale: T,
    dlogits: &mut Vec<T>,
) -> T {
    let mut total = T::zero();
    for (c, (&z, &y)) in logits.iter().zip(targets).enumerate() {
        if y.is_nan() {
            dlogits.push(T::zero());
            continue;
        }
        let (present, absent) = (y * positive(c), T::one() - y);
        let tail = ((-z.abs()).exp() + T::one()).ln();
        total += present * (tail + (-z).max(T::zero())) + absent * (tail + z.max(T::zero()));
        let sigmoid = T::one() / (T::one() + (-z).exp());
        dlogits.push((absent * sigmoid - present * (T::one() - sigmoid)) * scale);
    }
    total
}

/// Logarithm of the sum of exponentials; the largest is factored out so that none overflows.
fn log_sum_exp<T: Scalar>(logits: &[T]) -> T {
    let largest = logits.iter().copied().fold(T::neg_infinity(), T::max);
    largest + logits.iter().map(|&logit| (logit - largest).exp()).sum::<T>().ln()
}

/// Targets `(N, classes)` for pictures of one class each: 1 at each of the `labels`.
///
/// # Panics
/// If a label is not below `classes`.
pub fn one_hot<T: Scalar>(labels: &[usize], classes: usize) -> Vec<T> {
    let mut targets = vec![T::zero(); labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[label] = T::one();
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::reference::{binary_cross_entropy as binary, cross_entropy as softmax};

    fn close(have: &(f64, Vec<f64>), loss: f64, dlogits: &[f64]) {
        assert!((have.0 - loss).abs() < 1e-12, "{} and {loss}", have.0);
        assert!(have.1.iter().zip(dlogits).all(|(have, want)| (have - want).abs() < 1e-12));
    }

    /// Logits, values from 0 to 1 and positive weights.
    fn case(count: usize, classes: usize) -> (Vec<f64>, Vec<f64>, Vec<f32>) {
        let stream = Stream::new(1, classes as u64);
        let value = |i: usize| (stream.bits(i as u64 + (1 << 32)) % 1001) as f64 / 1000.0;
        let logits = (0..count * classes).map(|i| 5.0 * stream.normal(i as u64)).collect();
        let weights = (0..classes).map(|c| 0.5 + value(1 << 20 | c) as f32).collect();
        (logits, (0..count * classes).map(value).collect(), weights)
    }

    #[test]
    fn cross_entropy_equals_the_reference() {
        let many = if cfg!(miri) { 30 } else { 1000 };
        for (count, classes) in [(1, 2), (5, 10), (3, many)] {
            let (logits, mut soft, weights) = case(count, classes);
            for row in soft.chunks_exact_mut(classes) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|target| *target /= sum);
            }
            let labels: Vec<usize> = (0..count).map(|i| i * 7 % classes).collect();
            for targets in [soft, one_hot(&labels, classes)] {
                for (label_smoothing, class_weights) in [(0.0, None), (0.1, None), (0.1, Some(&weights[..]))] {
                    let loss = Loss::CrossEntropy { label_smoothing, class_weights };
                    let mean = softmax::forward(&logits, &targets, classes, label_smoothing, class_weights);
                    let dlogits = softmax::backward(&logits, &targets, classes, label_smoothing, class_weights);
                    close(&loss.evaluate(&logits, &targets, classes), mean, &dlogits);
                }
            }
        }
    }

    #[test]
    fn binary_cross_entropy_equals_the_reference() {
        for (count, classes) in [(1, 1), (5, 14), (7, 3)] {
            let (logits, mut targets, weights) = case(count, classes);
            targets.iter_mut().step_by(5).skip(1).for_each(|target| *target = f64::NAN);
            for pos_weight in [None, Some(&weights[..])] {
                let loss = Loss::BinaryCrossEntropy { pos_weight };
                let mean = binary::forward(&logits, &targets, classes, pos_weight);
                let dlogits = binary::backward(&logits, &targets, classes, pos_weight);
                close(&loss.evaluate(&logits, &targets, classes), mean, &dlogits);
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let loss = Loss::BinaryCrossEntropy { pos_weight: None };
        let (mean, dlogits) = loss.evaluate(&[800.0f32, -800.0, 800.0, -800.0], &[1.0, 0.0, 0.0, 1.0], 2);
        assert_eq!((mean, &dlogits[..]), (400.0, &[0.0, 0.0, 0.25, -0.25][..]));
    }

    #[test]
    fn nothing_known_is_no_loss() {
        let loss = Loss::BinaryCrossEntropy { pos_weight: None };
        assert_eq!(loss.evaluate(&[1.0, 2.0], &[f64::NAN; 2], 2), (0.0, vec![0.0; 2]));
    }
}

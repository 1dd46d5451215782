//! Whether probabilities mean what they say: of predictions made with 80 % probability, 80 % should be correct.

use serde::Serialize;

/// Number of bins in a reliability diagram.
pub const BINS: usize = 15;

/// The predictions whose probability lies in one of [`BINS`] equal parts of 0 to 1; the last part includes 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Number of predictions.
    pub count: u64,
    /// Their mean probability; from 0 to 1, and 0 if there are none.
    pub confidence: f64,
    /// Share of correct ones among them; from 0 to 1, and 0 if there are none.
    pub accuracy: f64,
}

/// The [`BINS`] bins of `predictions`, each a probability from 0 to 1 and whether it is correct.
pub fn reliability(predictions: impl IntoIterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    for (probability, right) in predictions {
        let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
        bin.count += 1;
        bin.confidence += probability;
        bin.accuracy += f64::from(u8::from(right));
    }
    for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
        bin.confidence /= bin.count as f64;
        bin.accuracy /= bin.count as f64;
    }
    bins
}

/// The expected calibration error: the difference between mean probability and accuracy of a bin, averaged over the
/// predictions; from 0 to 1, and 0 without predictions.
pub fn expected_calibration_error(bins: &[Bin]) -> f64 {
    let predictions: u64 = bins.iter().map(|bin| bin.count).sum();
    let error = |bin: &Bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
    bins.iter().map(error).sum::<f64>() / predictions.max(1) as f64
}

/// The Brier score of mutually exclusive classes: the squared distance of `probabilities`, one row per picture, to 1
/// for the correct class and 0 for the others, averaged over the pictures. From 0, which is best, to 2; for two classes
/// half of that, as in scikit-learn.
pub fn brier_of_classes<'a>(rows: impl IntoIterator<Item = (&'a [f64], usize)>) -> f64 {
    mean(rows.into_iter().map(|(probabilities, right)| {
        let distance = |(class, p): (usize, &f64)| (p - f64::from(u8::from(class == right))).powi(2);
        let sum: f64 = probabilities.iter().enumerate().map(distance).sum();
        if probabilities.len() == 2 { sum / 2.0 } else { sum }
    }))
}

/// The Brier score of independent labels: the mean squared distance of each probability to 1 if the label is true, else
/// to 0. From 0, which is best, to 1.
pub fn brier_of_labels(labels: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    mean(labels.into_iter().map(|(probability, right)| (probability - f64::from(u8::from(right))).powi(2)))
}

/// The mean; 0 if there are no values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_by_hand() {
        let bins = reliability([(1.0, true), (0.95, false), (0.0, false), (0.5, true)]);
        let counts: Vec<u64> = bins.iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(bins[14], Bin { count: 2, confidence: 0.975, accuracy: 0.5 });
        assert!((expected_calibration_error(&bins) - (2.0 * 0.475 + 0.5) / 4.0).abs() < 1e-15);
        assert_eq!(expected_calibration_error(&reliability([])), 0.0);
    }

    #[test]
    fn brier_scores_by_hand() {
        let three = brier_of_classes([(&[0.5, 0.25, 0.25][..], 0), (&[0.0, 1.0, 0.0][..], 1)]);
        assert!((three - 0.1875).abs() < 1e-15);
        assert!((brier_of_classes([(&[0.75, 0.25][..], 0)]) - 0.0625).abs() < 1e-15);
        assert_eq!(brier_of_labels([(1.0, true), (0.5, false)]), 0.125);
    }
}

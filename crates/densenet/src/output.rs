//! From logits to what a network answers: the probabilities of classes that exclude each other, or of labels each by itself.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// What the logits of a network mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Output {
    /// One of the classes is right: their probabilities are the softmax of the logits and add up to 1.
    #[default]
    Softmax,
    /// Any number of the labels may be right: the probability of each is the sigmoid of its logit.
    Sigmoid {
        /// For each label the probability from which it counts as found, between 0 and 1; none where nobody has chosen one.
        /// Absent where no label has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thresholds: Option<Vec<Option<f32>>>,
    },
}

impl Output {
    /// What a network of so many outputs means where nobody says it: a single output can only be a label's.
    pub fn usual(num_classes: usize) -> Self {
        if num_classes == 1 { Self::Sigmoid { thresholds: None } } else { Self::Softmax }
    }

    /// Probabilities from 0 to 1, in the order of the `logits`.
    ///
    /// Those of labels with thresholds are scaled as torchxrayvision's `op_norm` does it, so that 0.5 is the threshold:
    /// `p / 2t` below `t`, else `1 - (1 - p) / 2(1 - t)`; a label without one, where others have one, has 0.5.
    pub fn probabilities(&self, logits: ArrayView1<'_, f32>) -> Vec<f64> {
        match self {
            Self::Softmax => log_softmax(logits).into_iter().map(f64::exp).collect(),
            Self::Sigmoid { thresholds: None } => logits.iter().map(|&logit| sigmoid(logit)).collect(),
            Self::Sigmoid { thresholds: Some(thresholds) } => {
                let scaled = |(&logit, &threshold): (&f32, &Option<f32>)| scaled(sigmoid(logit), threshold);
                logits.iter().zip(thresholds).map(scaled).collect()
            }
        }
    }

    /// Checks what came from a file or a person against the number of outputs.
    ///
    /// # Errors
    /// What is wrong, with what would be right.
    pub(crate) fn validate(&self, num_classes: usize) -> Result<(), String> {
        let Self::Sigmoid { thresholds: Some(thresholds) } = self else { return Ok(()) };
        if thresholds.len() != num_classes {
            return Err(format!("{} thresholds for a network of {num_classes} labels", thresholds.len()));
        }
        match thresholds.iter().flatten().find(|&&t| !(t > 0.0 && t < 1.0)) {
            Some(threshold) => Err(format!("a threshold is {threshold}; it must be between 0 and 1")),
            None => Ok(()),
        }
    }
}

/// Classes from the most to the least likely; of equals the first comes first.
pub fn ranking(logits: ArrayView1<'_, f32>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// Logarithms of the softmax of `logits`.
pub fn log_softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let sum: f64 = logits.iter().map(|&logit| (logit as f64 - highest).exp()).sum();
    logits.iter().map(|&logit| logit as f64 - highest - sum.ln()).collect()
}

fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

fn scaled(probability: f64, threshold: Option<f32>) -> f64 {
    match threshold.map(f64::from) {
        None => 0.5,
        Some(threshold) if probability < threshold => probability / (2.0 * threshold),
        Some(threshold) => 1.0 - (1.0 - probability) / (2.0 * (1.0 - threshold)),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, aview1};

    use super::*;

    fn close(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn ranks_and_probabilities_by_hand() {
        assert_eq!(ranking(aview1(&[1.0, 3.0, 3.0, -2.0])), [1, 2, 0, 3]);
        let log = log_softmax(aview1(&[0.0, 3f32.ln(), -1000.0]));
        assert!((log[0].exp() - 0.25).abs() < 1e-7 && (log[1].exp() - 0.75).abs() < 1e-7, "{log:?}");
        assert!((log[2] + 1000.0 + 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_single_output_is_a_label() {
        let logits = array![2.0];
        close(&Output::usual(1).probabilities(logits.view()), &[0.880797]);
        close(&Output::usual(2).probabilities(array![3.0, 3.0].view()), &[0.5, 0.5]);
    }

    #[test]
    fn labels_stand_by_themselves() {
        let output = Output::Sigmoid { thresholds: None };
        close(&output.probabilities(array![3.0, 3.0, -800.0, 800.0].view()), &[0.952574, 0.952574, 0.0, 1.0]);
    }

    /// torchxrayvision.models.op_norm(torch.tensor([[0.1, 0.6, 0.6]]), torch.tensor([0.4, 0.2, nan])) = 0.125, 0.75, 0.5
    #[test]
    fn thresholds_are_applied_as_torchxrayvision_does() {
        let logit = |p: f64| (p / (1.0 - p)).ln() as f32;
        let output = Output::Sigmoid { thresholds: Some(vec![Some(0.4), Some(0.2), None]) };
        close(&output.probabilities(array![logit(0.1), logit(0.6), logit(0.6)].view()), &[0.125, 0.75, 0.5]);
    }

    #[test]
    fn thresholds_that_do_not_fit_are_refused() {
        let with = |thresholds| Output::Sigmoid { thresholds: Some(thresholds) };
        assert!(with(vec![None]).validate(2).unwrap_err().contains("1 thresholds for a network of 2"));
        assert!(with(vec![Some(1.0)]).validate(1).unwrap_err().contains("between 0 and 1"));
        assert_eq!(with(vec![Some(0.5), None]).validate(2), Ok(()));
        let text = serde_json::to_string(&with(vec![Some(0.5), None])).unwrap();
        assert_eq!(text, r#"{"kind":"sigmoid","thresholds":[0.5,null]}"#);
    }
}

//! From logits to predictions: the probabilities of mutually exclusive classes, or of independent labels.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// What the logits of a network mean.
///
/// Logits are first divided by the temperature. It is above 0, and 1 if none was fitted; see
/// [`temperature`](crate::metrics::temperature).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Output {
    /// Exactly one of the classes is right: their probabilities are the softmax of the logits and add up to 1.
    Softmax {
        /// The temperature by which logits are divided.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        temperature: f64,
    },
    /// Any number of the labels may be right: the probability of each is the sigmoid of its logit.
    Sigmoid {
        /// For each label, the probability from which it counts as found, between 0 and 1; `None` if nobody has chosen
        /// one. Absent if no label has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thresholds: Option<Vec<Option<f32>>>,
        /// The temperature by which logits are divided, before the thresholds apply.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        temperature: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn is_one(temperature: &f64) -> bool {
    *temperature == 1.0
}

impl Default for Output {
    fn default() -> Self {
        Self::softmax()
    }
}

impl Output {
    /// Exactly one of the classes is right; the temperature is 1.
    pub fn softmax() -> Self {
        Self::Softmax { temperature: 1.0 }
    }

    /// Any number of the labels may be right; no thresholds, and the temperature is 1.
    pub fn sigmoid() -> Self {
        Self::Sigmoid { thresholds: None, temperature: 1.0 }
    }

    /// The default meaning for a network with this many outputs: a single output can only be a label's.
    pub fn usual(num_classes: usize) -> Self {
        if num_classes == 1 { Self::sigmoid() } else { Self::softmax() }
    }

    /// Whether any number of the labels may be right.
    pub fn is_independent(&self) -> bool {
        matches!(self, Self::Sigmoid { .. })
    }

    /// The temperature by which logits are divided.
    pub fn temperature(&self) -> f64 {
        match self {
            Self::Softmax { temperature } | Self::Sigmoid { temperature, .. } => *temperature,
        }
    }

    /// The same with another temperature.
    pub fn with_temperature(self, temperature: f64) -> Self {
        match self {
            Self::Softmax { .. } => Self::Softmax { temperature },
            Self::Sigmoid { thresholds, .. } => Self::Sigmoid { thresholds, temperature },
        }
    }

    /// The same without thresholds and temperature, as for the result of [`mean_logits`].
    pub fn plain(&self) -> Self {
        if self.is_independent() { Self::sigmoid() } else { Self::softmax() }
    }

    /// Probabilities from 0 to 1, in the order of the `logits`.
    ///
    /// Probabilities of labels with thresholds are scaled like torchxrayvision's `op_norm`, so that 0.5 is the
    /// threshold: `p / 2t` below `t`, else `1 - (1 - p) / 2(1 - t)`; a label without one, where others have one, gets
    /// 0.5.
    pub fn probabilities(&self, logits: ArrayView1<'_, f32>) -> Vec<f64> {
        self.log_probabilities(logits).into_iter().map(|[is, _]| is.exp()).collect()
    }

    /// Natural logarithms of the [probability](Self::probabilities) that each class or label is right, and of the
    /// probability that it is not.
    pub(crate) fn log_probabilities(&self, logits: ArrayView1<'_, f32>) -> Vec<[f64; 2]> {
        let warm = logits.iter().map(|&logit| f64::from(logit) / self.temperature());
        match self {
            Self::Softmax { .. } => {
                let warm: Vec<f64> = warm.collect();
                let all = log_sum_exp(&warm);
                warm.iter().map(|logit| logit - all).map(|is| [is, (-is.exp()).ln_1p()]).collect()
            }
            Self::Sigmoid { thresholds: None, .. } => warm.map(log_sigmoid).collect(),
            Self::Sigmoid { thresholds: Some(thresholds), .. } => {
                warm.zip(thresholds).map(|(logit, &threshold)| scaled(log_sigmoid(logit), threshold)).collect()
            }
        }
    }

    /// Checks values from a file or a user against the number of outputs.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub(crate) fn validate(&self, num_classes: usize) -> Result<(), String> {
        let temperature = self.temperature();
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(format!("the output's temperature is {temperature}; it must be above 0, and finite"));
        }
        let Self::Sigmoid { thresholds: Some(thresholds), .. } = self else { return Ok(()) };
        if thresholds.len() != num_classes {
            return Err(format!("{} thresholds for a network of {num_classes} labels", thresholds.len()));
        }
        match thresholds.iter().flatten().find(|&&t| !(t > 0.0 && t < 1.0)) {
            Some(threshold) => Err(format!("a threshold is {threshold}; it must be between 0 and 1")),
            None => Ok(()),
        }
    }
}

/// The logits of a [plain](Output::plain) output whose probabilities are the means over several `predictions` for the
/// same picture, given as outputs of one kind with their logits. At least one is required.
pub fn mean_logits(predictions: &[(&Output, ArrayView1<'_, f32>)]) -> Vec<f32> {
    let independent = predictions[0].0.is_independent();
    let logs: Vec<_> = predictions.iter().map(|(output, logits)| output.log_probabilities(*logits)).collect();
    let mean = |class: usize, is: usize| {
        let of_class: Vec<f64> = logs.iter().map(|logs| logs[class][is]).collect();
        log_sum_exp(&of_class) - (logs.len() as f64).ln()
    };
    let logit = |class| if independent { mean(class, 0) - mean(class, 1) } else { mean(class, 0) };
    (0..logs[0].len()).map(|class| logit(class) as f32).collect()
}

/// Classes from the most to the least likely; equal ones keep their order.
pub fn ranking(logits: ArrayView1<'_, f32>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// Classes from the most to the least probable; equal ones are ordered by logit, highest first, and then keep their
/// order.
pub fn likeliest_first(probabilities: &[f64], logits: ArrayView1<'_, f32>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(logits[b].total_cmp(&logits[a])));
    order
}

/// Logarithms of the softmax of `logits`.
pub fn log_softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    let all = log_sum_exp(&logits);
    logits.into_iter().map(|logit| logit - all).collect()
}

/// The logarithm of the sum of the exponentials of `values`.
fn log_sum_exp(values: &[f64]) -> f64 {
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest + values.iter().map(|value| (value - highest).exp()).sum::<f64>().ln()
}

/// Logarithms of the sigmoid of `logit` and of 1 minus the sigmoid.
fn log_sigmoid(logit: f64) -> [f64; 2] {
    let small = (-logit.abs()).exp().ln_1p();
    [logit.min(0.0) - small, -logit.max(0.0) - small]
}

/// Logarithms of a label's probability and of 1 minus that, once its `threshold` is mapped to 0.5.
fn scaled([is, is_not]: [f64; 2], threshold: Option<f32>) -> [f64; 2] {
    let half = 0.5f64.ln();
    match threshold.map(f64::from) {
        None => [half, half],
        Some(threshold) if is.exp() < threshold => {
            let is = is - (2.0 * threshold).ln();
            [is, (-is.exp()).ln_1p()]
        }
        Some(threshold) => {
            let is_not = is_not - (2.0 * (1.0 - threshold)).ln();
            [(-is_not.exp()).ln_1p(), is_not]
        }
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

    fn with_thresholds(thresholds: Vec<Option<f32>>) -> Output {
        Output::Sigmoid { thresholds: Some(thresholds), temperature: 1.0 }
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
        let output = Output::sigmoid();
        close(&output.probabilities(array![3.0, 3.0, -800.0, 800.0].view()), &[0.952574, 0.952574, 0.0, 1.0]);
    }

    /// torchxrayvision.models.op_norm(torch.tensor([[0.1, 0.6, 0.6]]), torch.tensor([0.4, 0.2, nan])) = 0.125, 0.75, 0.5
    #[test]
    fn thresholds_are_applied_as_torchxrayvision_does() {
        let logit = |p: f64| (p / (1.0 - p)).ln() as f32;
        let output = with_thresholds(vec![Some(0.4), Some(0.2), None]);
        close(&output.probabilities(array![logit(0.1), logit(0.6), logit(0.6)].view()), &[0.125, 0.75, 0.5]);
    }

    #[test]
    fn thresholds_that_do_not_fit_are_refused() {
        let with = with_thresholds;
        assert!(with(vec![None]).validate(2).unwrap_err().contains("1 thresholds for a network of 2"));
        assert!(with(vec![Some(1.0)]).validate(1).unwrap_err().contains("between 0 and 1"));
        assert_eq!(with(vec![Some(0.5), None]).validate(2), Ok(()));
        let text = serde_json::to_string(&with(vec![Some(0.5), None])).unwrap();
        assert_eq!(text, r#"{"kind":"sigmoid","thresholds":[0.5,null]}"#);
    }

    #[test]
    fn a_temperature_divides_logits() {
        let warm = Output::softmax().with_temperature(2.0);
        close(&warm.probabilities(array![0.0, 2.0 * 3f32.ln()].view()), &[0.25, 0.75]);
        let warm = with_thresholds(vec![Some(0.9)]).with_temperature(2.0);
        close(&warm.probabilities(array![2.0 * 3f32.ln()].view()), &[0.75 / 1.8]);
        assert!(warm.with_temperature(0.0).validate(1).unwrap_err().contains("temperature is 0; it must be above 0"));
        let text = serde_json::to_string(&Output::softmax().with_temperature(1.5)).unwrap();
        assert_eq!(text, r#"{"kind":"softmax","temperature":1.5}"#);
        assert_eq!(serde_json::from_str::<Output>(r#"{"kind":"softmax"}"#).unwrap(), Output::softmax());
    }

    #[test]
    fn means_are_of_probabilities() {
        let (cold, warm) = (Output::softmax(), Output::softmax().with_temperature(2.0));
        let (first, second) = (array![0.0, 3f32.ln(), -500.0], array![5.0, 5.0, -900.0]);
        let mean = mean_logits(&[(&cold, first.view()), (&warm, second.view())]);
        close(&cold.plain().probabilities(aview1(&mean)), &[0.375, 0.625, 0.0]);
        assert!((mean[2] + 453.886).abs() < 0.01, "{mean:?}");
        let labels = with_thresholds(vec![Some(0.25), Some(0.5)]);
        let (first, second) = (array![0.0, 800.0], array![3f32.ln(), 900.0]);
        let mean = mean_logits(&[(&labels, first.view()), (&labels, second.view())]);
        close(&labels.plain().probabilities(aview1(&mean)), &[(2.0 / 3.0 + 5.0 / 6.0) / 2.0, 1.0]);
        assert!(mean[1].is_finite());
    }
}

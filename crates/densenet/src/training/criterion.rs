//! The loss of a run.

use ndarray::ArrayView2;

use super::settings::{Balance, Settings};
use crate::data::{Split, Targets, class_weights, pos_weight};
use crate::network::Loss;
use crate::output::ranking;

/// The loss of a run, with what it needs from the training pictures.
pub(super) struct Criterion {
    /// Whether pictures have any number of labels.
    multi_label: bool,
    label_smoothing: f64,
    /// For classes, or for the presence of labels.
    weights: Option<Vec<f32>>,
}

impl Criterion {
    pub fn new(settings: &Settings, train: &Split) -> Self {
        let multi_label = matches!(train.targets(), Targets::Labels(_));
        let weights = (settings.balance == Balance::Weights).then(|| match train.targets() {
            Targets::Classes(_) => class_weights(train),
            Targets::Labels(_) => pos_weight(train),
        });
        Self { multi_label, label_smoothing: settings.label_smoothing, weights }
    }

    pub fn loss(&self) -> Loss<'_> {
        let weights = self.weights.as_deref();
        match self.multi_label {
            true => Loss::BinaryCrossEntropy { pos_weight: weights },
            false => Loss::CrossEntropy { label_smoothing: self.label_smoothing, class_weights: weights },
        }
    }

    /// How many of the `targets` `(N, classes)` the `logits` get right, out of how many: pictures whose most likely
    /// class is the target's, or labels that are known.
    pub fn right(&self, logits: ArrayView2<'_, f32>, targets: ArrayView2<'_, f32>) -> (u64, u64) {
        if self.multi_label {
            let known = logits.iter().zip(targets).filter(|(_, target)| !target.is_nan());
            let right = known.clone().filter(|(logit, target)| (**logit > 0.0) == (**target > 0.5));
            return (right.count() as u64, known.count() as u64);
        }
        let rows = logits.rows().into_iter().zip(targets.rows());
        let right = rows.filter(|(logits, targets)| ranking(*logits)[0] == ranking(*targets)[0]);
        (right.count() as u64, logits.nrows() as u64)
    }
}

//! Scores from the logits alone that say how unlike the training pictures a picture may be, and how well a score does.

use ndarray::ArrayView1;

use crate::metrics::Ranked;
use crate::output::log_softmax;

/// 1 minus the largest probability of a softmax without temperature (Hendrycks and Gimpel, ICLR 2017, arXiv
/// 1610.02136).
pub fn softmax(logits: ArrayView1<'_, f32>) -> f64 {
    1.0 - log_softmax(logits).into_iter().fold(f64::NEG_INFINITY, f64::max).exp()
}

/// The energy at temperature 1, `-log sum exp` of the logits (Liu et al., NeurIPS 2020, arXiv 2010.03759).
pub fn energy(logits: ArrayView1<'_, f32>) -> f64 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
    -highest - sum.ln()
}

/// How well a score separates other pictures from those that are like the training pictures.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Separation {
    /// The share of pairs of a like and another picture in which the other one has the higher score.
    pub auroc: f64,
    /// The share of the other pictures that are accepted when 95 % of the like ones are.
    pub fpr95: f64,
}

impl Separation {
    /// From the scores of pictures that are `like` the training pictures, and of `other` ones; at least one of each,
    /// and no score NaN.
    ///
    /// # Panics
    /// If either is empty.
    pub fn new(like: &[f64], other: &[f64]) -> Self {
        let mark = |scores: &[f64], unlike| scores.iter().map(|&score| (0, score, unlike)).collect::<Vec<_>>();
        let ranked = Ranked::new([mark(like, false), mark(other, true)].concat());
        let mut sorted = like.to_vec();
        sorted.sort_by(f64::total_cmp);
        let limit = sorted[(0.95 * like.len() as f64).ceil() as usize - 1];
        let passed = other.iter().filter(|&&score| score <= limit).count();
        Self { auroc: ranked.roc_auc().expect("pictures of both kinds"), fpr95: passed as f64 / other.len() as f64 }
    }
}

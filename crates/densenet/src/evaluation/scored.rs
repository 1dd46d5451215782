//! The values per picture from which all figures are computed.

use ndarray::Array2;
use rayon::prelude::*;

use super::predictions::Predictions;
use crate::data::Targets;
use crate::metrics::Ranked;
use crate::output::likeliest_first;

/// The probability from which a label counts as found.
const FOUND: f64 = 0.5;

/// Predictions and truths for each picture.
pub(super) struct Scored<'a> {
    pub predictions: &'a Predictions,
    /// `(N, C)`.
    pub probabilities: Array2<f64>,
    /// `(N)`: the class predicted for each picture, and the rank of the correct one by probability, from 0; `None` for
    /// labels.
    pub ranks: Option<Vec<(usize, usize)>>,
    /// `(N)`: the loss of each picture, summed over its known targets, and their number: one class, or its known
    /// labels.
    pub losses: Vec<(f64, u64)>,
}

impl<'a> Scored<'a> {
    pub fn new(predictions: &'a Predictions) -> Self {
        let probabilities = predictions.probabilities();
        let rank = |(picture, &class): (usize, &usize)| {
            let row = probabilities.row(picture).to_vec();
            let order = likeliest_first(&row, predictions.logits.row(picture));
            (order[0], order.iter().position(|&other| other == class).expect("every class has a rank"))
        };
        let ranks = match &predictions.targets {
            Targets::Classes(classes) => Some(classes.iter().enumerate().map(rank).collect()),
            Targets::Labels(_) => None,
        };
        let losses = (0..probabilities.nrows()).map(|picture| loss(predictions, picture)).collect();
        Self { predictions, probabilities, ranks, losses }
    }

    pub fn pictures(&self) -> usize {
        self.probabilities.nrows()
    }

    pub fn names(&self) -> usize {
        self.probabilities.ncols()
    }

    /// For a class or label, and every picture for which it is known: the picture, the probability, and whether it is
    /// correct.
    pub fn of(&self, name: usize) -> impl Iterator<Item = (usize, f64, bool)> {
        let shows = move |picture| self.predictions.targets.shows(picture, name, self.names());
        (0..self.pictures()).filter_map(move |i| Some((i, self.probabilities[(i, name)], shows(i)?)))
    }

    /// For a class or label, and every picture for which it is known: whether it was found, and whether it is correct.
    pub fn decisions(&self, name: usize) -> impl Iterator<Item = (bool, bool)> {
        let found = move |picture: usize, probability| match &self.ranks {
            Some(ranks) => ranks[picture].0 == name,
            None => probability >= FOUND,
        };
        self.of(name).map(move |(picture, probability, right)| (found(picture, probability), right))
    }

    /// The pictures ranked by each class or label.
    pub fn ranked(&self) -> Vec<Ranked> {
        (0..self.names()).into_par_iter().map(|name| Ranked::new(self.of(name))).collect()
    }

    /// The mean loss, where picture `i` is counted `times(i)` times; `None` where nothing is known about any.
    pub fn loss(&self, times: impl Fn(usize) -> u64) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for (picture, &(loss, known)) in self.losses.iter().enumerate() {
            sum += times(picture) as f64 * loss;
            count += times(picture) * known;
        }
        (count > 0).then(|| sum / count as f64)
    }
}

/// A picture's cross-entropy, or the sum of the binary cross-entropies of its known labels, and their number. For a
/// class among independent labels, the mean over all labels.
fn loss(predictions: &Predictions, picture: usize) -> (f64, u64) {
    let Predictions { logits, output, targets, .. } = predictions;
    let logs = output.log_probabilities(logits.row(picture));
    let shows = |name| targets.shows(picture, name, logs.len());
    let known = logs.iter().enumerate().filter_map(|(name, log)| Some(-log[usize::from(!shows(name)?)]));
    match targets {
        Targets::Classes(classes) if !output.is_independent() => (-logs[classes[picture]][0], 1),
        Targets::Classes(_) => (known.sum::<f64>() / logs.len() as f64, 1),
        Targets::Labels(_) => known.fold((0.0, 0), |(sum, count), loss| (sum + loss, count + 1)),
    }
}

/// The mean; `None` if there are no values.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

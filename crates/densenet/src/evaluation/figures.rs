//! The figures that describe how well a network does.

use serde::Serialize;

use super::intervals::Intervals;
use super::predictions::Predictions;
use super::scored::{Scored, mean};
use crate::data::{Targets, Unreadable};
use crate::metrics::{Bin, Counts, Ranked, brier_of_classes, brier_of_labels, expected_calibration_error, reliability};

/// How well a network does on a set of labelled pictures. `docs/evaluation.md` defines each figure.
///
/// Shares are from 0 to 1. For labels, unknown values are left out everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of pictures, without those that could not be read.
    pub images: u64,
    /// Number of pictures whose most likely class is correct; `None` for labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<u64>,
    /// Share of pictures whose most likely class is correct (top-1 accuracy); `None` for labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// Share of pictures whose correct class is among the five most likely; `None` for labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// Share of labels that are on the correct side of their threshold; `None` for classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean cross-entropy of the pictures, or binary cross-entropy of the labels.
    pub loss: f64,
    /// Mean area under the ROC curve of the classes or labels that have one.
    pub auc: Option<f64>,
    /// Mean average precision of the classes or labels that have one.
    pub average_precision: Option<f64>,
    /// Mean precision of the classes that pictures show or were predicted to show, or of the labels for which any value
    /// is known.
    pub precision: f64,
    /// Mean recall of the same.
    pub recall: f64,
    /// Mean F1 score of the same.
    pub f1: f64,
    /// The Brier score; 0 is best.
    pub brier: f64,
    /// The expected calibration error, for the most likely class of each picture or for all labels.
    pub ece: f64,
    /// The temperature by which logits were divided.
    pub temperature: f64,
    /// 95 % intervals, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// Figures for each class or label, in the order of the logits.
    pub per_class: Vec<ClassFigures>,
    /// `[true class][most likely class]`: number of pictures; empty for labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// The bins from which the calibration error is computed.
    pub calibration: Vec<Bin>,
    /// Pictures that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// How well a network separates one class from all others, or one label's presence from its absence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Share of correct ones among the pictures in which it was found; 0 if it was found in none.
    pub precision: f64,
    /// Share of the pictures that show it in which it was found; 0 if none shows it.
    pub recall: f64,
    /// Their harmonic mean; 0 if both are 0.
    pub f1: f64,
    /// Number of pictures that show it.
    pub support: u64,
    /// Share of correct decisions about it.
    pub accuracy: f64,
    /// The area under the ROC curve; `None` if all pictures show it, or none does.
    pub auc: Option<f64>,
    /// The average precision; `None` if no picture shows it.
    pub average_precision: Option<f64>,
}

impl Evaluation {
    /// All figures for `predictions` except the intervals.
    pub fn new(predictions: &Predictions) -> Self {
        let scored = Scored::new(predictions);
        let counts: Vec<Counts> = (0..scored.names()).map(|name| Counts::of(scored.decisions(name))).collect();
        let per_class: Vec<ClassFigures> = counts.iter().zip(scored.ranked()).map(ClassFigures::new).collect();
        let taken: Vec<ClassFigures> = counts
            .iter()
            .zip(&per_class)
            .filter(|(counts, _)| is_taken(predictions, counts))
            .map(|(_, f)| *f)
            .collect();
        let figures = Self {
            images: scored.pictures() as u64,
            loss: scored.loss(|_| 1).unwrap_or(0.0),
            auc: mean(per_class.iter().filter_map(|figures| figures.auc)),
            average_precision: mean(per_class.iter().filter_map(|figures| figures.average_precision)),
            precision: mean(taken.iter().map(|figures| figures.precision)).unwrap_or(0.0),
            recall: mean(taken.iter().map(|figures| figures.recall)).unwrap_or(0.0),
            f1: mean(taken.iter().map(|figures| figures.f1)).unwrap_or(0.0),
            temperature: predictions.output.temperature(),
            per_class,
            unreadable: predictions.unreadable.clone(),
            ..Self::default()
        };
        match &predictions.targets {
            Targets::Classes(classes) => figures.with_classes(&scored, classes),
            Targets::Labels(_) => figures.with_labels(&scored, &counts),
        }
    }

    fn with_classes(self, scored: &Scored<'_>, classes: &[usize]) -> Self {
        let ranks = scored.ranks.as_deref().unwrap_or_default();
        let within = |most: usize| ranks.iter().filter(|(_, rank)| *rank < most).count();
        let share = |count: usize| count as f64 / ranks.len().max(1) as f64;
        let mut confusion = vec![vec![0; scored.names()]; scored.names()];
        ranks.iter().zip(classes).for_each(|((predicted, _), &class)| confusion[class][*predicted] += 1);
        let confident = |(picture, &(predicted, rank)): (usize, &(usize, usize))| {
            (scored.probabilities[(picture, predicted)], rank == 0)
        };
        let calibration = reliability(ranks.iter().enumerate().map(confident));
        let rows = scored.probabilities.rows().into_iter().map(|row| row.to_slice().expect("in standard layout"));
        Self {
            correct: Some(within(1) as u64),
            top1: Some(share(within(1))),
            top5: Some(share(within(5))),
            brier: brier_of_classes(rows.zip(classes.iter().copied())),
            ece: expected_calibration_error(&calibration),
            calibration,
            confusion,
            ..self
        }
    }

    fn with_labels(self, scored: &Scored<'_>, counts: &[Counts]) -> Self {
        let all = || (0..scored.names()).flat_map(|name| scored.of(name)).map(|(_, p, right)| (p, right));
        let right: u64 = counts.iter().map(|counts| counts.true_positives + counts.true_negatives).sum();
        let known: u64 = counts.iter().map(Counts::all).sum();
        let calibration = reliability(all());
        Self {
            accuracy: Some(right as f64 / known.max(1) as f64),
            brier: brier_of_labels(all()),
            ece: expected_calibration_error(&calibration),
            calibration,
            ..self
        }
    }

    /// The figure to maximise: for classes the share of correct pictures, for labels the mean area under the ROC curve
    /// (0 if no label has one).
    pub fn score(&self) -> f64 {
        self.top1.or(self.auc).unwrap_or(0.0)
    }
}

impl ClassFigures {
    fn new((counts, ranked): (&Counts, Ranked)) -> Self {
        Self {
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            support: counts.support(),
            accuracy: counts.accuracy(),
            auc: ranked.roc_auc(),
            average_precision: ranked.average_precision(),
        }
    }
}

/// Whether a class or label is included in the means, following scikit-learn.
fn is_taken(predictions: &Predictions, counts: &Counts) -> bool {
    match predictions.targets {
        Targets::Classes(_) => counts.support() + counts.found() > 0,
        Targets::Labels(_) => counts.all() > 0,
    }
}

//! How well a network does on labelled pictures.

use std::ops::ControlFlow;

use ndarray::ArrayView1;
use serde::Serialize;

use crate::batches::Source;
use crate::data::{Augment, Preprocessing, Split, Unreadable};
use crate::network::DenseNet;
use crate::prefetch::prefetch;
use crate::{Error, Result};

pub use crate::output::{log_softmax, ranking};

/// How well a network does on a set of labelled pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Share of the pictures whose most likely class is the right one; from 0 to 1.
    pub top1: f64,
    /// Share of the pictures whose right class is among the five most likely; from 0 to 1.
    pub top5: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Pictures seen, those that could not be read aside.
    pub images: u64,
    /// Pictures whose most likely class is the right one.
    pub correct: u64,
    /// `[true class][most likely class]`: how many pictures.
    #[serde(skip)]
    pub confusion: Vec<Vec<u64>>,
    /// Pictures that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Evaluates `network` on `split`, `batch` pictures at a time, and calls `progress` with the number seen so far; none
/// when that breaks. Pictures that cannot be read are left out and told.
///
/// # Errors
/// Labels that are none of the network's classes, no picture that can be read, or a size that the network cannot take.
pub fn evaluate(
    network: &DenseNet,
    split: &Split,
    preprocessing: &Preprocessing,
    batch: usize,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Evaluation>> {
    network.architecture().check_classifier()?;
    let classes = network.architecture().config.num_classes;
    check_labels(split, classes)?;
    let mut tally = Tally { confusion: vec![vec![0; classes]; classes], ..Tally::default() };
    let order: Vec<usize> = (0..split.len()).collect();
    let source = Source { split, preprocessing, augment: Augment::None, seed: 0 };
    let stopped = prefetch(
        order.chunks(batch),
        |indices| source.readable(indices),
        |batch| {
            if !batch.indices.is_empty() {
                let logits = network.logits(batch.images.view())?;
                let labels = batch.indices.iter().map(|&index| split.labels()[index]);
                logits.rows().into_iter().zip(labels).for_each(|(row, label)| tally.add(row, label));
            }
            tally.unreadable.extend(batch.unreadable);
            Ok(progress(tally.images + tally.unreadable.len() as u64))
        },
    )?;
    match tally.unreadable.first() {
        Some(first) if tally.images == 0 && stopped.is_none() => {
            let reason = format!("{}; none of the {} pictures can be read", first.reason, split.len());
            Err(Error::format(&first.input, reason))
        }
        _ => Ok(stopped.is_none().then(|| tally.evaluation())),
    }
}

/// Refuses labels that are none of a network's `classes`.
pub(crate) fn check_labels(split: &Split, classes: usize) -> Result<()> {
    match split.labels().iter().enumerate().find(|&(_, &label)| label >= classes) {
        Some((i, label)) => {
            Err(Error::Config(format!("label {i} is {label}; this network has classes 0 to {}", classes - 1)))
        }
        None => Ok(()),
    }
}

#[derive(Default)]
struct Tally {
    images: u64,
    correct: u64,
    among_five: u64,
    loss: f64,
    confusion: Vec<Vec<u64>>,
    unreadable: Vec<Unreadable>,
}

impl Tally {
    fn add(&mut self, logits: ArrayView1<'_, f32>, label: usize) {
        let order = ranking(logits);
        let rank = order.iter().position(|&class| class == label);
        self.images += 1;
        self.correct += u64::from(rank == Some(0));
        self.among_five += u64::from(rank.is_some_and(|rank| rank < 5));
        self.loss -= log_softmax(logits)[label];
        self.confusion[label][order[0]] += 1;
    }

    fn evaluation(self) -> Evaluation {
        let images = self.images as f64;
        Evaluation {
            top1: self.correct as f64 / images,
            top5: self.among_five as f64 / images,
            loss: self.loss / images,
            images: self.images,
            correct: self.correct,
            confusion: self.confusion,
            unreadable: self.unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::*;

    #[test]
    fn tallies_by_hand() {
        let mut tally = Tally { confusion: vec![vec![0; 7]; 7], ..Tally::default() };
        let logits = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];
        for label in [0, 4, 5] {
            tally.add(aview1(&logits), label);
        }
        let evaluation = tally.evaluation();
        assert_eq!((evaluation.images, evaluation.correct), (3, 1));
        assert!((evaluation.top1 - 1.0 / 3.0).abs() < 1e-15 && (evaluation.top5 - 2.0 / 3.0).abs() < 1e-15);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        assert!((evaluation.loss - (sum.ln() - (6.0 + 2.0 + 1.0) / 3.0)).abs() < 1e-6);
        assert_eq!([0, 4, 5].map(|label| evaluation.confusion[label][0]), [1, 1, 1]);
    }
}

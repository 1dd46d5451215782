//! How much the figures of an evaluation would vary with other pictures.

use serde::Serialize;

use super::predictions::Predictions;
use super::scored::{Scored, mean};
use crate::metrics::{Interval, bootstrap};

/// The ends of 95 % intervals; `None` where no resample has the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    /// For the share of pictures whose most likely class is correct; `None` for labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<Interval>,
    /// For the mean area under the ROC curve.
    pub auc: Option<Interval>,
    /// For the mean loss.
    pub loss: Option<Interval>,
}

impl Intervals {
    /// The intervals for `predictions`, by a [`bootstrap`] over pictures.
    pub fn new(predictions: &Predictions) -> Self {
        let scored = Scored::new(predictions);
        let (ranked, ranks) = (scored.ranked(), scored.ranks.as_ref());
        let [top1, auc, loss] = bootstrap(scored.pictures(), 0, |times| {
            let count = |picture: usize| u64::from(times[picture]);
            let right = |ranks: &Vec<(_, usize)>| (0..ranks.len()).filter(|&i| ranks[i].1 == 0).map(count).sum::<u64>();
            let top1 = ranks.map(|ranks| right(ranks) as f64 / ranks.len() as f64);
            let auc = mean(ranked.iter().filter_map(|ranked| ranked.weighted_roc_auc(count)));
            [top1, auc, scored.loss(count)]
        });
        Self { top1, auc, loss }
    }
}

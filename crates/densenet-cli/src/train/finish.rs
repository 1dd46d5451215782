//! The end of a run: its best network is calibrated by the validation part, and sees the test part, once.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use densenet::data::{DataSet, Part, Split, Views};
use densenet::evaluation::{Evaluation, Intervals, Predictions, predictions};
use densenet::metrics::temperature;
use densenet::training::{BEST, Run};
use densenet::{Card, DenseNet, Ensemble};

/// What the best network makes of the part that it is judged by: the test part, or where there is none what chose it.
pub struct Judged {
    pub part: Part,
    pub predictions: Predictions,
    pub evaluation: Evaluation,
}

/// Calibrates the best network of a finished `run` in `folder` and evaluates it; none where no epoch was done, or where it is
/// interrupted.
pub fn finish(run: &Run, data: &DataSet, folder: &Path, interrupted: &AtomicBool) -> Result<Option<Judged>> {
    if run.progress().best.is_none() {
        return Ok(None);
    }
    let path = folder.join(BEST);
    let (network, mut card) = DenseNet::load(&path)?;
    let batch = run.settings.batch;
    let predict = |card: &Card, split: &Split| predictions_of(&network, card, split, batch, interrupted);
    if data.chooses().part() == Part::Validation {
        let output = card.output().with_temperature(1.0);
        card.output = Some(output.clone());
        let Some(chosen) = predict(&card, data.chooses())? else { return Ok(None) };
        card.output = Some(output.with_temperature(temperature::fit(chosen.logits.view(), &chosen.targets)));
        network.save(&card, &path)?;
    }
    let Some(predictions) = predict(&card, &data.test)? else { return Ok(None) };
    let evaluation = Evaluation { intervals: Some(Intervals::new(&predictions)), ..Evaluation::new(&predictions) };
    Ok(Some(Judged { part: data.test.part(), predictions, evaluation }))
}

fn predictions_of(
    network: &DenseNet,
    card: &Card,
    split: &Split,
    batch: usize,
    interrupted: &AtomicBool,
) -> Result<Option<Predictions>> {
    let ensemble = Ensemble::new([(network, card.output())])?;
    Ok(predictions(&ensemble, split, card.preprocessing()?, Views::default(), batch, |_| {
        if interrupted.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?)
}

//! The end of a run: its best network is calibrated on the validation part, gets a reference to the training part, and
//! sees the test part, once.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use densenet::data::{DataSet, Part, Split, Unreadable, Views};
use densenet::evaluation::{Evaluation, Intervals, Predictions, predictions};
use densenet::metrics::temperature;
use densenet::training::{BEST, Run};
use densenet::{Card, DenseNet, Ensemble};

use crate::{output, referencing};

/// The best network's results on the part that it is judged by: the test part, or without one the part that chose it.
pub struct Judged {
    pub part: Part,
    pub predictions: Predictions,
    pub evaluation: Evaluation,
}

/// Completes the best network of a finished `run` in `folder` and evaluates it; none where no epoch was done, or where it is
/// interrupted.
pub fn finish(run: &Run, data: &DataSet, folder: &Path, interrupted: &AtomicBool) -> Result<Option<Judged>> {
    if run.progress().best.is_none() {
        return Ok(None);
    }
    let path = folder.join(BEST);
    let (mut network, mut card) = DenseNet::load(&path)?;
    let batch = run.settings.batch;
    if data.chooses().part() == Part::Validation {
        let output = card.output().with_temperature(1.0);
        card.output = Some(output.clone());
        let Some(chosen) = predictions_of(&network, &card, data.chooses(), batch, interrupted)? else {
            return Ok(None);
        };
        card.output = Some(output.with_temperature(temperature::fit(chosen.logits.view(), &chosen.targets)));
        network = match with_reference(network, &card, data, interrupted)? {
            Some(network) => network,
            None => return Ok(None),
        };
        network.save(&card, &path)?;
    }
    let Some(predictions) = predictions_of(&network, &card, &data.test, batch, interrupted)? else { return Ok(None) };
    // The part that chose the best epoch was seen before, and its unreadable pictures were reported then.
    if data.validation.is_some() {
        tell_untested(&predictions.unreadable, data.test.len());
    }
    let evaluation = Evaluation { intervals: Some(Intervals::new(&predictions)), ..Evaluation::new(&predictions) };
    Ok(Some(Judged { part: data.test.part(), predictions, evaluation }))
}

/// Names the pictures that were not tested because they could not be read, and reports their number.
fn tell_untested(unreadable: &[Unreadable], all: usize) {
    for picture in unreadable {
        output::note(format_args!("densenet: warning: {picture}; the test leaves it out"));
    }
    output::count_unreadable(unreadable.len(), all);
}

/// The network with a reference to the training pictures; without one where none can be made, which is reported. None
/// where it is interrupted.
fn with_reference(
    network: DenseNet,
    card: &Card,
    data: &DataSet,
    interrupted: &AtomicBool,
) -> Result<Option<DenseNet>> {
    match referencing::reference(&network, card, data, || interrupted.load(Ordering::SeqCst)) {
        Ok(Some(reference)) => Ok(Some(network.with_reference(reference).map_err(anyhow::Error::msg)?)),
        Ok(None) => Ok(None),
        Err(error) => {
            output::note(format_args!("pictures unlike the training pictures will not be marked: {error}"));
            Ok(Some(network))
        }
    }
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

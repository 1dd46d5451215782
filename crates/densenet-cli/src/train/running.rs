//! A run from its first step, or the next, to the results of its best network.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use densenet::training::{LAST, Observer, Outcome};

use super::begin::Begun;
use super::finish::{Judged, finish};
use super::recorder::Recorder;
use crate::watch::{self, Watch};
use crate::{machine, output, report};

/// What holds for all runs of a command.
pub struct How {
    pub threads: usize,
    pub tensorboard: bool,
    pub interrupted: Arc<AtomicBool>,
}

/// How a run ended.
pub enum Ended {
    /// With all its steps, and the results of its best network, if an epoch was done.
    Done(Option<Box<Judged>>),
    /// By Ctrl-C or SIGTERM; it can be resumed.
    Interrupted,
}

/// Trains a run that is `begun` to its end, unless Ctrl-C, SIGTERM or the `listener` stops it earlier, and reports the
/// outcome. Nobody else may write into its folder meanwhile.
pub fn train(begun: Begun, how: &How, listener: Option<&mut dyn Observer>) -> Result<Ended> {
    let Begun { mut run, data, folder, resumed_in, claim: _claim } = begun;
    let &How { threads, tensorboard, ref interrupted } = how;
    let steps = watch::announce(&run, &data, &folder, threads);
    let done = run.progress().step;
    let watch = Watch::new(run.settings.epochs, steps, done, interrupted.clone());
    let mut recorder = Recorder::new(watch, folder.clone(), threads, done, tensorboard, listener)?;
    let outcome = run.train(&data.train, data.chooses(), &mut recorder);
    let unreadable = recorder.count_of_unreadable();
    drop(recorder);
    output::note_turned(data.train.turned() + data.chooses().turned(), run.card().preprocessing()?);
    output::count_unreadable(unreadable, data.train.len() + data.chooses().len());
    let outcome = outcome.map_err(|error| match error {
        densenet::Error::Diverged { .. } => {
            anyhow::Error::new(error).context(format!("{} holds the last good weights", folder.join(LAST).display()))
        }
        error => error.into(),
    });
    if outcome? == Outcome::Interrupted {
        let (step, folder) = (run.progress().step, resumed_in.display());
        output::note(format_args!("saved at step {step}; resume with: densenet train --resume {folder}"));
        return Ok(Ended::Interrupted);
    }
    let judged = finish(&run, &data, &folder, interrupted)?;
    if let Some(Judged { predictions, evaluation, .. }) = &judged {
        report::judged::save(&folder, &data.test, predictions, evaluation)?;
    }
    machine::save(&folder, threads)?;
    report::write(&folder, false)?;
    let told = judged.as_ref().map(|judged| (judged.part, &judged.evaluation));
    output::print(&watch::summary(&run, &folder, data.chooses().part(), told))?;
    Ok(Ended::Done(judged.map(Box::new)))
}

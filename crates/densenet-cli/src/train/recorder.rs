//! What is written beside a run's own files during training: its report, the machine, and TensorBoard's event file.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;
use densenet::data::Unreadable;
use densenet::training::{EpochReport, EventFile, Measure, Observer, StepReport};

use crate::watch::Watch;
use crate::{machine, report};

/// Shows a run and writes down what it hears.
pub struct Recorder<'a> {
    watch: Watch,
    folder: PathBuf,
    threads: usize,
    events: Option<EventFile>,
    /// The last step heard of.
    step: u64,
    /// A listener, which is also told about it and may end it.
    listener: Option<&'a mut dyn Observer>,
}

impl<'a> Recorder<'a> {
    /// A recorder of the run in `folder`, of which that many steps are `done`; with `events` if TensorBoard is to
    /// follow.
    pub fn new(
        watch: Watch,
        folder: PathBuf,
        threads: usize,
        done: u64,
        events: bool,
        listener: Option<&'a mut dyn Observer>,
    ) -> Result<Self> {
        let events = if events { Some(EventFile::create(&folder, done + 1)?) } else { None };
        Ok(Self { watch, folder, threads, events, step: done, listener })
    }

    /// How many pictures could not be read.
    pub fn count_of_unreadable(&self) -> usize {
        self.watch.count_of_unreadable()
    }

    /// Whether to continue, by the answer `so_far` and by that of the listener, which `tell` informs.
    fn goes_on(
        &mut self,
        so_far: ControlFlow<()>,
        tell: impl FnOnce(&mut dyn Observer) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let heard = match self.listener.as_deref_mut() {
            Some(listener) => tell(listener),
            None => ControlFlow::Continue(()),
        };
        if so_far.is_break() { so_far } else { heard }
    }

    /// Adds values to the event file. A run does not end because it cannot be written.
    fn scalars(&mut self, scalars: &[(&str, f64)]) {
        let (step, now) = (self.step, SystemTime::now());
        let Some(events) = &mut self.events else { return };
        let written = scalars.iter().try_for_each(|(tag, value)| events.scalar(tag, step, *value, now));
        written.unwrap_or_else(|error| self.watch.unsaved(&error));
    }
}

impl Observer for Recorder<'_> {
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()> {
        self.step = step.step;
        self.scalars(&[("loss", step.loss), ("lr", step.lr)]);
        let so_far = self.watch.step(step, images);
        self.goes_on(so_far, |listener| listener.step(step, images))
    }

    fn evaluated(&mut self, images: u64) -> ControlFlow<()> {
        let so_far = self.watch.evaluated(images);
        self.goes_on(so_far, |listener| listener.evaluated(images))
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        let part = epoch.part;
        let measure = match epoch.measure {
            Measure::Top1 => format!("{part}_top1"),
            Measure::MeanAuc => format!("{part}_auc"),
        };
        self.scalars(&[(&format!("{part}_loss"), epoch.held_out_loss), (&measure, epoch.held_out_score)]);
        self.watch.epoch(epoch);
        if let Some(listener) = &mut self.listener {
            listener.epoch(epoch);
        }
        let written = machine::save(&self.folder, self.threads).and_then(|()| report::write(&self.folder, true));
        written.unwrap_or_else(|error| crate::output::complain("warning", &error.context("the report")));
    }

    fn unreadable(&mut self, picture: &Unreadable) {
        self.watch.unreadable(picture);
        if let Some(listener) = &mut self.listener {
            listener.unreadable(picture);
        }
    }

    fn unsaved(&mut self, error: &densenet::Error) {
        self.watch.unsaved(error);
        if let Some(listener) = &mut self.listener {
            listener.unsaved(error);
        }
    }
}

//! Where a network's time goes: seconds and multiply-adds, summed by stage and by kind of work.
//!
//! Work is timed only on request: a [`Probe`] without a [`Profile`] just runs it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The purpose of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// A convolution or linear layer forward, including the pre-activation in its packing and the statistics in its
    /// epilogue.
    Forward,
    /// The same again in the backward pass, since its output was not kept.
    Recompute,
    /// The gradient of a convolution or linear layer with respect to its input, including batch-norm's sums in its
    /// epilogue.
    DataGradient,
    /// The gradient of a convolution or linear layer with respect to its weights.
    WeightGradient,
    /// Both gradients of a convolution in one sweep over its input; its multiply-adds count twice.
    Gradients,
    /// Everything else: pooling, batch-norm's corrections, the loss, the optimiser.
    Rest,
}

/// The time spent on one kind of work in one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The stage, as named by the work: `block 1`, `features.denseblock1.denselayer1.conv1`.
    pub stage: String,
    /// The kind of work.
    pub pass: Pass,
    /// Time spent.
    pub time: Duration,
    /// Multiply-adds, counted as for direct convolutions; an algorithm that does fewer appears faster accordingly.
    pub macs: u64,
}

/// Rows of time, in the order in which their stages and kinds of work first occurred. Shared by reference with the work
/// that is timed.
#[derive(Debug, Default)]
pub struct Profile {
    rows: Mutex<Vec<Row>>,
}

impl Profile {
    /// All rows so far.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds `time` and `macs` multiply-adds to the row of `stage` and `pass`.
    fn add(&self, stage: &str, pass: Pass, time: Duration, macs: u64) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.iter_mut().find(|row| row.pass == pass && row.stage == stage) {
            Some(row) => {
                row.time += time;
                row.macs += macs;
            }
            None => rows.push(Row { stage: stage.into(), pass, time, macs }),
        }
    }
}

/// The current stage of a network, and the profile, if any, that its time goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe<'a> {
    profile: Option<&'a Profile>,
    stage: &'a str,
}

impl<'a> Probe<'a> {
    /// A probe at `stage`; without a profile it times nothing.
    pub fn new(profile: Option<&'a Profile>, stage: &'a str) -> Self {
        Self { profile, stage }
    }

    /// The same profile at another stage.
    pub fn at(self, stage: &'a str) -> Self {
        Self { stage, ..self }
    }

    /// Runs `work`, which does `macs` multiply-adds, and adds its time to the profile.
    pub fn time<R>(self, pass: Pass, macs: u64, work: impl FnOnce() -> R) -> R {
        let Some(profile) = self.profile else { return work() };
        let begun = Instant::now();
        let result = work();
        profile.add(self.stage, pass, begun.elapsed(), macs);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_adds_up_by_stage_and_pass() {
        let profile = Profile::default();
        let probe = Probe::new(Some(&profile), "block 1");
        assert_eq!(probe.time(Pass::Forward, 3, || 7), 7);
        probe.at("block 2").time(Pass::Forward, 5, || std::thread::sleep(Duration::from_millis(2)));
        probe.time(Pass::Rest, 0, || ());
        probe.time(Pass::Forward, 4, || ());
        let rows = profile.rows();
        let told: Vec<_> = rows.iter().map(|row| (row.stage.as_str(), row.pass, row.macs)).collect();
        let expected = [("block 1", Pass::Forward, 7), ("block 2", Pass::Forward, 5), ("block 1", Pass::Rest, 0)];
        assert_eq!(told, expected);
        assert!(rows[1].time >= Duration::from_millis(2));
    }

    #[test]
    fn without_a_profile_work_just_runs() {
        assert_eq!(Probe::default().time(Pass::Forward, 3, || 7), 7);
    }
}

//! `densenet train`, reporting to Python.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use densenet::training::{EpochReport, Observer, StepReport};
use densenet_cli::Trained;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use serde::Serialize;

use crate::errors::exception;
use crate::threads;

/// Time between checks for Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A report from a run, and the channel for the reply: whether to continue.
struct Told {
    /// `step` or `epoch`.
    kind: &'static str,
    /// A line of the log, as JSON.
    line: String,
    answer: SyncSender<bool>,
}

/// Reports to the waiting Python thread, which owns signals and output.
struct Teller {
    to: SyncSender<Told>,
    interrupted: Arc<AtomicBool>,
}

impl Teller {
    fn tell(&self, kind: &'static str, line: &impl Serialize) -> ControlFlow<()> {
        let (answer, answered) = sync_channel(1);
        let line = serde_json::to_string(line).unwrap_or_default();
        let goes_on = self.to.send(Told { kind, line, answer }).is_ok() && answered.recv().unwrap_or(false);
        if !goes_on {
            self.interrupted.store(true, Ordering::SeqCst);
        }
        self.go_on()
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.interrupted.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Observer for Teller {
    fn step(&mut self, step: &StepReport, _: usize) -> ControlFlow<()> {
        self.tell("step", step)
    }

    fn evaluated(&mut self, _: u64) -> ControlFlow<()> {
        self.go_on()
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        // Its reply is read at the next step.
        let _ = self.tell("epoch", epoch);
    }
}

/// Trains a network as `densenet train` does with these `arguments`. `listener` is called with `step` or `epoch` and a
/// line of the log, and returns whether to continue. Returns the run's folder, and whether the run finished.
#[pyfunction]
pub fn train(py: Python<'_>, arguments: Vec<OsString>, listener: &Bound<'_, PyAny>) -> PyResult<(PathBuf, bool)> {
    let (pool, interrupted) = (threads::threads()?, Arc::new(AtomicBool::new(false)));
    let (to, told) = sync_channel(0);
    let told = Mutex::new(told);
    let (failure, trained) = thread::scope(|scope| {
        let mut teller = Teller { to, interrupted: interrupted.clone() };
        let flag = interrupted.clone();
        let run = scope.spawn(move || pool.install(|| densenet_cli::train(arguments, &mut teller, flag)));
        let failure = listen(py, &told, listener, &interrupted);
        (failure, py.detach(|| run.join()))
    });
    let Ok(trained) = trained else { return Err(PyRuntimeError::new_err("the run ended with a panic")) };
    match (failure, trained) {
        (Some(failure), _) => Err(failure),
        (None, Ok(Trained { folder, done })) => Ok((folder, done)),
        (None, Err(error)) => Err(match error.downcast::<densenet::Error>() {
            Ok(error) => exception(error),
            Err(error) => PyValueError::new_err(densenet_cli::with_causes(&error)),
        }),
    }
}

/// Passes on reports until the run ends. A failure of the listener, or Ctrl-C, interrupts the run.
fn listen(
    py: Python<'_>,
    told: &Mutex<Receiver<Told>>,
    listener: &Bound<'_, PyAny>,
    interrupted: &AtomicBool,
) -> Option<PyErr> {
    let mut failure = None;
    let mut fail = |error| {
        interrupted.store(true, Ordering::SeqCst);
        failure.get_or_insert(error);
    };
    loop {
        let next = py.detach(|| told.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK_EVERY));
        match next {
            Ok(Told { kind, line, answer }) => {
                let goes_on = listener.call1((kind, line)).and_then(|answer| answer.is_truthy());
                // The run is waiting for it, or has ended.
                let _ = answer.send(*goes_on.as_ref().unwrap_or(&false));
                goes_on.map_or_else(&mut fail, drop);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return failure,
        }
        py.check_signals().unwrap_or_else(&mut fail);
    }
}

/// Runs the program with `arguments`, the first of which is its name, and returns its exit code.
#[pyfunction]
pub fn run(py: Python<'_>, arguments: Vec<OsString>) -> Option<u8> {
    let code = py.detach(|| densenet_cli::run(arguments));
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code)
}

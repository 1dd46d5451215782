//! The threads that everything runs on.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The most threads that can be requested.
const MOST: usize = 1024;

/// Threads of one process.
struct Pool {
    /// The process; a process forked from it has none of the threads.
    process: u32,
    threads: Arc<ThreadPool>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Sets the number of threads for everything; initially one per core.
#[pyfunction]
pub fn set_num_threads(count: usize) -> PyResult<()> {
    if !(1..=MOST).contains(&count) {
        return Err(PyValueError::new_err(format!("{count} threads; use from 1 to {MOST}")));
    }
    *POOL.lock().unwrap_or_else(PoisonError::into_inner) = Some(start(count)?);
    Ok(())
}

/// The number of threads for everything.
#[pyfunction]
pub fn get_num_threads() -> PyResult<usize> {
    Ok(threads()?.current_num_threads())
}

/// Runs `work` on the threads, while other Python code can run.
pub fn run<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    py.detach(|| Ok(threads()?.install(work)))
}

/// The threads of this process, started if there are none.
pub fn threads() -> PyResult<Arc<ThreadPool>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    match &*pool {
        Some(Pool { process, threads }) if *process == process::id() => Ok(threads.clone()),
        before => {
            let started = start(before.as_ref().map_or(0, |pool| pool.threads.current_num_threads()))?;
            let threads = started.threads.clone();
            // Threads that this process does not have cannot be ended.
            std::mem::forget(pool.replace(started));
            Ok(threads)
        }
    }
}

/// `count` threads, or with 0 one per core.
fn start(count: usize) -> PyResult<Pool> {
    let threads = ThreadPoolBuilder::new().num_threads(count).build();
    let threads = threads.map_err(|error| PyRuntimeError::new_err(format!("starting the threads: {error}")))?;
    Ok(Pool { process: process::id(), threads: Arc::new(threads) })
}

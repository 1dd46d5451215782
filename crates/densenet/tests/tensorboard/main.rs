//! Event files, as TensorBoard reads them.
//!
//! Runs where the environment variable `DENSENET_PEERS` names a Python virtual environment with tensorboard, as `bench/`
//! makes one.

#[path = "../common/peers.rs"]
mod peers;

use std::time::{Duration, SystemTime};

use densenet::training::EventFile;

#[test]
fn tensorboard_reads_a_run_that_was_interrupted() {
    let Some(python) = peers::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let time = |step: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + 500 * step);
    // Steps 3 and 4 come after the last save, and are taken again.
    for (goes_on_with, steps) in [(1, 1..5), (3, 3..7)] {
        let mut file = EventFile::create(folder.path(), goes_on_with).unwrap();
        for step in steps {
            let value = step as f64 / 8.0 + goes_on_with as f64;
            file.scalar("loss", step, value, time(step)).unwrap();
            file.scalar("lr", step, 0.0, time(step)).unwrap();
        }
    }
    let read = peers::printed(&python, "tests/tensorboard/scalars.py", &[folder.path()]);
    let line = |tag: &str, step: u64, value: f64| {
        format!(
            "{tag} {step} {value:?} {:?}\n",
            time(step).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
        )
    };
    let losses = [1.125, 1.25, 3.375, 3.5, 3.625, 3.75];
    let losses = losses.iter().zip(1..).map(|(&value, step)| line("loss", step, value));
    let expected: String = losses.chain((1..=6).map(|step| line("lr", step, 0.0))).collect();
    assert_eq!(read, expected);
}

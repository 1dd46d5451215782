//! The page that a comparison makes of its finished runs, and the same in numbers.

mod answer;
mod charts;
mod claims;
mod contrast;
mod folder;
mod gradients;
mod interval;
mod lines;
mod page;
mod pairs;
#[cfg(test)]
mod tests;
mod words;

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use densenet::files::write_whole;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::answer::{Answer, answers};
use self::folder::Folder;
use super::results::{Correct, RunResult};
use crate::report::REPORT;

/// All numbers of the page.
const NUMBERS: &str = "report.json";

/// Everything on the page.
#[derive(Serialize)]
struct Report<'a> {
    data: &'a str,
    runs_planned: usize,
    seconds: f64,
    claims: Vec<Answer>,
    #[serde(serialize_with = "figures")]
    runs: &'a [RunResult],
    machine: &'a Map<String, Value>,
    #[serde(skip)]
    plan: String,
}

impl<'a> Report<'a> {
    fn of(folder: &'a Folder) -> Result<Self> {
        Ok(Self {
            data: &folder.plan.data,
            runs_planned: folder.plan.runs(),
            seconds: folder.runs.iter().map(|run| run.seconds).sum(),
            claims: answers(folder),
            runs: &folder.runs,
            machine: &folder.machine,
            plan: folder.plan.text()?,
        })
    }
}

/// The figures of the runs, whose curves and predictions are in their own file.
fn figures<S: Serializer>(runs: &[RunResult], serializer: S) -> Result<S::Ok, S::Error> {
    let figures = |run: &RunResult| RunResult { curve: Vec::new(), test_correct: Correct(Vec::new()), ..run.clone() };
    serializer.collect_seq(runs.iter().map(figures))
}

/// Writes `report.html` and `report.json` into the folder of a comparison, from the runs that are finished.
///
/// # Errors
/// A folder without a plan, a file with unexpected contents, or whatever the file system reports.
pub fn write(folder: &Path) -> Result<()> {
    let read = Folder::read(folder)?;
    let report = Report::of(&read)?;
    let numbers = serde_json::to_string(&report)?;
    write_whole(&folder.join(NUMBERS), |file| writeln!(file, "{numbers}"))?;
    Ok(write_whole(&folder.join(REPORT), |file| file.write_all(report.page().as_bytes()))?)
}

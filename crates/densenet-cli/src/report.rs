//! `densenet report`, and the page that a training writes of itself.

mod axis;
mod chart;
mod classes;
mod compare;
mod confusion;
mod evaluated;
mod figures;
pub mod judged;
mod log;
mod page;
mod pictures;
mod rates;
mod recipe;
mod reliability;
mod run;
mod single;
mod thinned;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::files::write_whole;
use densenet::training::find_lr::Tried;

use self::run::Run;
use crate::output;

/// The page in a run's folder.
pub const REPORT: &str = "report.html";

/// Makes a page of a training run, or one that compares several
///
/// The page is one HTML file that needs nothing else: curves, confusion matrix, calibration, figures of every class, the most
/// confident mistakes, the likeliest wrong labels, the recipe and the machine, as far as the folder has their files. Training
/// writes it, too. Of several runs the page has their curves in one chart, in what their recipes differ, and the mean and
/// deviation of those that differ in their seed alone.
#[derive(Args)]
#[command(after_help = "Example: densenet report runs/seed-fashion-mnist\n\
    then:    densenet report runs/first runs/second --out comparison.html")]
pub struct Report {
    /// Folders of runs
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where to write the page [default: DIR/report.html; report.html here for several runs]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report {
    pub fn run(self) -> Result<ExitCode> {
        let runs = self.folders.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>>>()?;
        let (usual, page) = match &runs[..] {
            [run] => (self.folders[0].join(REPORT), single::single(run, false)),
            runs => (REPORT.into(), compare::compare(runs)),
        };
        let path = self.out.unwrap_or(usual);
        save(&path, &page)?;
        output::note(format_args!("wrote {}", path.display()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page of a search for the learning rate to `path`: the steps `tried`, and the rate `suggested`.
///
/// # Errors
/// Whatever the file system reports.
pub fn rates(path: &Path, tried: &[Tried], suggested: f64) -> Result<()> {
    save(path, &rates::rates(tried, suggested))
}

/// Writes the page that compares the runs in `folders` to `path`.
///
/// # Errors
/// Those of [`write`].
pub fn compare(folders: &[PathBuf], path: &Path) -> Result<()> {
    let runs = folders.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>>>()?;
    save(path, &compare::compare(&runs))
}

/// Writes the page of the run in `folder` as [`REPORT`] in it. A page of a run that is `under_way` says so, and browsers read
/// it again every half minute.
///
/// # Errors
/// A folder without a log, a file that holds something else than it should, or whatever the file system reports.
pub fn write(folder: &Path, under_way: bool) -> Result<()> {
    save(&folder.join(REPORT), &single::single(&Run::read(folder)?, under_way))
}

fn save(path: &Path, page: &str) -> Result<()> {
    Ok(write_whole(path, |file| file.write_all(page.as_bytes()))?)
}

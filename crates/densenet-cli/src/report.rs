//! `densenet report`, and the page that training writes about itself.

mod axis;
pub mod chart;
mod classes;
mod compare;
mod confusion;
mod curves;
mod evaluated;
pub mod figures;
mod headline;
pub mod judged;
mod log;
pub mod machine;
pub mod page;
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

use anyhow::{Result, bail};
use clap::Args;
use densenet::files::write_whole;
use densenet::training::LOG;
use densenet::training::find_lr::Tried;

use self::run::Run;
use crate::output;

/// The page in a run's folder.
pub const REPORT: &str = "report.html";

/// Makes a report page for a training run, or one that compares several
///
/// The page is a single self-contained HTML file: curves, confusion matrix, calibration, figures for every class, the
/// most confident mistakes, the most likely wrong labels, the recipe and the machine, as far as the folder has their
/// files. Training writes it, too. For several runs, the page shows their curves in one chart, the differences between
/// their recipes, and the mean and standard deviation over runs that differ only in their seed.
#[derive(Args)]
#[command(after_help = "Example: densenet report runs/seed-fashion-mnist\n\
    then:    densenet report runs/first runs/second --out comparison.html")]
pub struct Report {
    /// Folders of runs; the folder of several seeds stands for all their runs
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where to write the page [default: DIR/report.html; report.html here for several runs]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report {
    pub fn run(self) -> Result<ExitCode> {
        let runs = self.folders.iter().map(|folder| runs_in(folder)).collect::<Result<Vec<_>>>()?.concat();
        let usual = match &self.folders[..] {
            [folder] => folder.join(REPORT),
            _ => REPORT.into(),
        };
        let path = self.out.unwrap_or(usual);
        match &runs[..] {
            [run] => save(&path, &single::single(&Run::read(run)?, false))?,
            runs => compare(runs, &path)?,
        }
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

/// The folder itself, or the folders of runs in it, as training from several seeds leaves them.
fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_run = |folder: &Path| folder.join(LOG).exists();
    let mut within: Vec<PathBuf> = match folder.read_dir() {
        Ok(entries) if !is_run(folder) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        _ => return Ok(vec![folder.into()]),
    };
    within.retain(|folder| is_run(folder));
    if within.is_empty() {
        bail!("{}: no training run is here; its log would be {}", folder.display(), folder.join(LOG).display());
    }
    // The ninth seed goes before the tenth.
    within.sort_by_key(|folder| (folder.as_os_str().len(), folder.clone()));
    Ok(within)
}

/// Writes the page that compares the runs in `folders` to `path`.
///
/// # Errors
/// Those of [`write()`].
pub fn compare(folders: &[PathBuf], path: &Path) -> Result<()> {
    let runs = folders.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>>>()?;
    save(path, &compare::compare(&runs))
}

/// Writes the page of the run in `folder` as [`REPORT`] in it. The page of a run that is `under_way` says so, and
/// browsers reload it every half minute.
///
/// # Errors
/// A folder without a log, a file with unexpected contents, or whatever the file system reports.
pub fn write(folder: &Path, under_way: bool) -> Result<()> {
    save(&folder.join(REPORT), &single::single(&Run::read(folder)?, under_way))
}

fn save(path: &Path, page: &str) -> Result<()> {
    Ok(write_whole(path, |file| file.write_all(page.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_says_so_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"epoch":3,"train_loss":1.0,"train_top1":0.5,"val_loss":1.1,"val_top1":0.4,"seconds":20.0}"#;
        std::fs::write(folder.path().join(LOG), format!("{{\"step\":70,\"epoch\":3,\"loss\":1.0}}\n{line}\n")).unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "[training]\nepochs = 9\n").unwrap();
        for under_way in [true, false] {
            write(folder.path(), under_way).unwrap();
            let page = std::fs::read_to_string(folder.path().join(REPORT)).unwrap();
            for part in ["http-equiv=\"refresh\"", "3 of 9 epochs, 70 steps done.", "40.0 s left"] {
                assert_eq!(page.contains(part), under_way, "{part}: {page}");
            }
        }
    }
}

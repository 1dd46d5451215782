//! `densenet compare`.

mod report;
mod results;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::output;
use crate::report::REPORT;

/// Puts the article's claims to the test: trains dense, residual and plain networks of the same layers
#[derive(Args)]
#[command(after_help = "Example: densenet compare --report runs/article")]
pub struct Compare {
    /// Makes the page of a comparison's folder anew, of the runs that are done
    #[arg(long, value_name = "DIR")]
    report: PathBuf,
}

impl Compare {
    pub fn run(self) -> Result<ExitCode> {
        report::write(&self.report)?;
        output::note(format_args!("wrote {}", self.report.join(REPORT).display()));
        Ok(ExitCode::SUCCESS)
    }
}

//! `densenet data`.

mod check;
mod findings;
mod inspection;
mod sheet;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Shows and checks the pictures of a data set
#[derive(Args)]
pub struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Box<show::Show>),
    Check(check::Check),
}

impl Data {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Show(show) => show.run(),
            Command::Check(check) => check.run(),
        }
    }
}

//! The option `--threads`.

use anyhow::{Context, Result};
use clap::Args;
use rayon::ThreadPoolBuilder;

/// How much of the machine to use.
#[derive(Args)]
pub struct Threads {
    /// Threads to work with [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    threads: Option<u16>,
}

impl Threads {
    /// Sets up the threads that everything runs on and returns their number.
    pub fn start(&self) -> Result<usize> {
        let builder = ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0).into());
        builder.build_global().context("starting the threads")?;
        Ok(rayon::current_num_threads())
    }
}

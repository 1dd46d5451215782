//! `densenet train`.

mod begin;
mod claim;
mod command;
mod finish;
pub mod listened;
mod memory;
mod options;
mod rates;
pub mod recipe;
mod recorder;
mod running;
mod several;

use std::process::ExitCode;

use anyhow::Result;
use toml::Table;

pub use self::command::Train;
use self::running::{Ended, How, train};
use self::several::Several;
use crate::watch::interruption;

impl Train {
    pub fn run(self) -> Result<ExitCode> {
        let how = How { threads: self.threads.start()?, tensorboard: self.tensorboard, interrupted: interruption()? };
        if self.find_lr {
            let recipe = self.recipe(Table::new())?;
            let folder = self.folder(&recipe)?;
            return Ok(exit(rates::search(self.prepared(recipe)?, &folder, &how)?));
        }
        let ended = match Several::of(&self)? {
            Some(several) => several.run(&self, &how)?,
            None => matches!(train(self.begin()?, &how, None)?, Ended::Done(_)),
        };
        Ok(exit(ended))
    }
}

/// The exit code of a command that was `done`, or interrupted.
fn exit(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { ExitCode::from(130) }
}

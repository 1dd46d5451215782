//! `densenet train`.

mod begin;
mod command;
mod finish;
mod options;
mod rates;
pub mod recipe;
mod recorder;
mod running;
mod several;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use densenet::data::DataSet;
use densenet::training::Run;
use toml::Table;

use self::begin::resume;
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
            None => {
                let (run, data, folder) = self.begin()?;
                matches!(train(run, &data, &folder, &how)?, Ended::Done(_))
            }
        };
        Ok(exit(ended))
    }

    /// The run that is begun or gone on with, and its folder.
    fn begin(&self) -> Result<(Run, DataSet, PathBuf)> {
        if let Some(folder) = &self.resume {
            let (run, data) = resume(folder, &self.data_dir, |begun| self.recipe(Table::try_from(begun)?))?;
            return Ok((run, data, folder.clone()));
        }
        let recipe = self.recipe(Table::new())?;
        let folder = self.folder(&recipe)?;
        let (run, data) = self.prepared(recipe)?.start(&folder)?;
        Ok((run, data, folder))
    }
}

/// That of what was `done`, or interrupted.
fn exit(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { ExitCode::from(130) }
}

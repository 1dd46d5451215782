//! The files of a run's folder that a report is made from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use densenet::training::LOG;
use serde_json::{Map, Value};

use super::evaluated::{EVALUATION, Evaluated};
use super::log::Log;
use super::recipe::{self, Recipe};
use crate::train::recipe::FILE as RECIPE;

/// The machine, and what the run used of it.
const MACHINE: &str = "machine.json";

/// A run, as far as its folder describes it.
pub struct Run {
    /// The folder, as it was named.
    pub name: String,
    /// Its log.
    pub log: Log,
    /// The recipe's text and values.
    pub recipe: Option<(String, Recipe)>,
    /// The evaluation of its best network.
    pub evaluated: Option<Evaluated>,
    /// The machine, and what the run used of it.
    pub machine: Option<Map<String, Value>>,
}

impl Run {
    /// Reads the run in `folder`, of which only the log must exist.
    ///
    /// # Errors
    /// A log that cannot be read, or a file with unexpected contents.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            name: folder.display().to_string(),
            log: Log::read(&folder.join(LOG))?,
            recipe: read(&folder.join(RECIPE), |text| Ok((text.into(), recipe::parse(text)?)))?,
            evaluated: read(&folder.join(EVALUATION), |text| serde_json::from_str(text).context("not an evaluation"))?,
            machine: read(&folder.join(MACHINE), |text| serde_json::from_str(text).context("not a JSON object"))?,
        })
    }

    /// What the page is called: the folder's own name.
    pub fn title(&self) -> String {
        let path = fs::canonicalize(&self.name).unwrap_or_else(|_| self.name.clone().into());
        path.file_name().map_or_else(|| self.name.clone(), |name| name.to_string_lossy().into_owned())
    }

    /// The recipe's value of `key`.
    pub fn of_recipe(&self, key: &str) -> Option<&str> {
        recipe::value(&self.recipe.as_ref()?.1, key)
    }

    /// The epochs that the recipe asks for.
    pub fn epochs(&self) -> Option<usize> {
        self.of_recipe("epochs")?.parse().ok()
    }

    /// Time that it took: all of it, or that of the epochs that are done.
    pub fn seconds(&self) -> f64 {
        let told = self.machine.as_ref().and_then(|machine| machine.get("seconds")?.as_f64());
        told.unwrap_or_else(|| self.log.seconds())
    }
}

/// What `parse` makes of a text file; none where it does not exist.
fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    if !fs::exists(path).with_context(|| path.display().to_string())? {
        return Ok(None);
    }
    crate::text::read(path)
        .map_err(Into::into)
        .and_then(|text| parse(&text))
        .map(Some)
        .with_context(|| path.display().to_string())
}

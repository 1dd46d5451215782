//! Several networks of one recipe, each from its own seed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use densenet::training::RESUME;
use toml::Table;

use super::begin::{Begun, Prepared, resume};
use super::claim::{Claim, OF_SEED};
use super::command::Train;
use super::options::HIGHEST_SEED;
use super::recipe::{self, Recipe};
use super::running::{Ended, How, train};
use crate::output::{self, Misuse};
use crate::report;

/// A recipe that is trained from several seeds, and the folder of their runs.
pub struct Several {
    recipe: Recipe,
    folder: PathBuf,
}

impl Several {
    /// What `command` asks for, if it is several seeds: new ones, or those that were begun in the folder that it
    /// resumes.
    pub fn of(command: &Train) -> Result<Option<Self>> {
        if let Some(folder) = &command.resume {
            return Self::begun_in(folder, command);
        }
        let asked = command.recipe(Table::new())?;
        let recipe = Recipe { seeds: command.seeds.unwrap_or(asked.seeds), ..asked };
        if recipe.seeds <= 1 {
            return Ok(None);
        }
        let highest = HIGHEST_SEED - u64::from(recipe.seeds - 1);
        if recipe.seed > highest {
            let (first, seeds) = (recipe.seed, recipe.seeds);
            return Err(Misuse(format!("--seed {first}: the first of {seeds} seeds may be {highest} at most")).into());
        }
        Ok(Some(Self { folder: command.folder(&recipe)?, recipe }))
    }

    /// Those that were begun in `folder`, if it is a folder of several.
    ///
    /// # Errors
    /// A recipe with which they would not be the ones that were begun, or that is no longer that of one of them.
    fn begun_in(folder: &Path, command: &Train) -> Result<Option<Self>> {
        if folder.join(RESUME).exists() || !folder.join(recipe::FILE).exists() {
            return Ok(None);
        }
        let begun = Recipe::of_folder(folder)?;
        if begun.seeds <= 1 {
            return Ok(None);
        }
        let recipe = command.recipe(Table::try_from(&begun)?)?;
        recipe.training.validate()?;
        let changed = begun.changes(&recipe)?.join("; ");
        if !changed.is_empty() {
            let folder = folder.display();
            let wrong = format!("the runs in {folder} were begun differently ({changed})");
            return Err(Misuse(format!("{wrong}; leave that out, or begin new runs")).into());
        }
        let several = Self { recipe, folder: folder.into() };
        several.check_recipes()?;
        Ok(Some(several))
    }

    /// Fails if a run that was begun does not follow the folder's recipe: its figure would be for something else.
    fn check_recipes(&self) -> Result<()> {
        for seed in self.seeds() {
            let folder = self.of_seed(seed);
            // What a run lacks is reported when it is resumed.
            if !folder.join(RESUME).exists() || !folder.join(recipe::FILE).exists() {
                continue;
            }
            let changed = Recipe::of_folder(&folder)?.changes(&self.recipe_of(seed))?.join("; ");
            if !changed.is_empty() {
                bail!(
                    "the run in {} was begun differently from what {} says ({changed}); move it away to train its seed \
                     again, or begin new runs",
                    folder.display(),
                    self.folder.join(recipe::FILE).display()
                );
            }
        }
        Ok(())
    }

    /// Trains one after the other, resuming those that were begun before; returns whether all are done.
    pub fn run(self, command: &Train, how: &How) -> Result<bool> {
        let _claim = self.claim(command)?;
        let mut accuracies = Vec::new();
        for seed in self.seeds() {
            output::note(format_args!("seed {seed}:"));
            let begun = Begun { resumed_in: self.folder.clone(), ..self.begin(command, seed)? };
            match train(begun, how, None)? {
                Ended::Interrupted => return Ok(false),
                Ended::Done(judged) => accuracies.extend(judged.map(|judged| (seed, judged.evaluation.score()))),
            }
        }
        let folders: Vec<PathBuf> = self.seeds().map(|seed| self.of_seed(seed)).collect();
        report::compare(&folders, &self.folder.join(report::REPORT))?;
        output::print(&told(&accuracies))?;
        Ok(true)
    }

    /// The claim to the folder of all runs, before anything is written in it. If they are resumed, the recipe that now
    /// applies is written.
    fn claim(&self, command: &Train) -> Result<Claim> {
        if command.resume.is_none() {
            return Claim::of_new(&self.folder);
        }
        let claim = Claim::of(&self.folder)?;
        self.recipe.write(&self.folder)?;
        Ok(claim)
    }

    /// The run of `seed`: a new one, or what was begun.
    fn begin(&self, command: &Train, seed: u64) -> Result<Begun> {
        let folder = self.of_seed(seed);
        match command.resume.is_some() && folder.join(RESUME).exists() {
            true => resume(&folder, &command.data_dir, |_| Ok(self.recipe_of(seed))),
            false => self.prepared(command, seed)?.start(&folder),
        }
    }

    /// The run of `seed` before its first step. The folder's recipe has what the first of them had to find out.
    fn prepared(&self, command: &Train, seed: u64) -> Result<Prepared> {
        let recipe = self.recipe_of(seed);
        let known = command.resume.is_some();
        let prepared =
            if known { Prepared::new(recipe, &command.data_dir, true)? } else { command.prepared(recipe)? };
        let Recipe { seed, seeds, .. } = self.recipe;
        Recipe { seed, seeds, ..prepared.recipe.clone() }.write(&self.folder)?;
        Ok(prepared)
    }

    /// The recipe of the run of `seed`.
    fn recipe_of(&self, seed: u64) -> Recipe {
        Recipe { seed, seeds: 1, ..self.recipe.clone() }
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        (0..u64::from(self.recipe.seeds)).map(|i| self.recipe.seed + i)
    }

    fn of_seed(&self, seed: u64) -> PathBuf {
        self.folder.join(format!("{OF_SEED}{seed}"))
    }
}

/// One line per seed, and their mean and deviation.
fn told(scores: &[(u64, f64)]) -> String {
    let lines: String = scores.iter().map(|(seed, score)| format!("seed {seed}: {:.2} %\n", 100.0 * score)).collect();
    let count = scores.len() as f64;
    let mean = scores.iter().map(|(_, score)| score).sum::<f64>() / count;
    let squares: f64 = scores.iter().map(|(_, score)| (score - mean).powi(2)).sum();
    match scores.len() {
        0 | 1 => lines,
        seeds => {
            let deviation = (squares / (count - 1.0)).sqrt();
            format!("{lines}mean of {seeds} seeds {:.2} %, deviation {:.2} points\n", 100.0 * mean, 100.0 * deviation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let told = told(&[(0, 0.9), (1, 0.92)]);
        assert_eq!(told, "seed 0: 90.00 %\nseed 1: 92.00 %\nmean of 2 seeds 91.00 %, deviation 1.41 points\n");
    }
}

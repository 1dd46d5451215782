//! Several networks of one recipe, each from a seed of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use densenet::training::RESUME;
use toml::Table;

use super::begin::{Prepared, resume};
use super::command::Train;
use super::recipe::{self, Recipe};
use super::running::{Ended, How, train};
use crate::{output, report};

/// A recipe that is trained from several seeds, and the folder of their runs.
pub struct Several {
    recipe: Recipe,
    folder: PathBuf,
}

impl Several {
    /// What `command` asks for, if it is several seeds: new ones, or such as were begun in the folder that it resumes.
    pub fn of(command: &Train) -> Result<Option<Self>> {
        let (base, folder) = match &command.resume {
            Some(folder) if folder.join(RESUME).exists() => return Ok(None),
            Some(folder) if folder.join(recipe::FILE).exists() => {
                (recipe::read(&folder.join(recipe::FILE))?, Some(folder.clone()))
            }
            Some(_) => return Ok(None),
            None => (Table::new(), None),
        };
        let asked = command.recipe(base)?;
        let recipe = Recipe { seeds: command.seeds.unwrap_or(asked.seeds), ..asked };
        if recipe.seeds <= 1 {
            return Ok(None);
        }
        let folder = folder.map_or_else(|| command.folder(&recipe), Ok)?;
        Ok(Some(Self { recipe, folder }))
    }

    /// Trains one after the other, those that were begun before from where they are; whether all are done.
    pub fn run(self, command: &Train, how: &How) -> Result<bool> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let mut accuracies = Vec::new();
        for seed in self.seeds() {
            let folder = self.of_seed(seed);
            output::note(format_args!("seed {seed}:"));
            let (run, data) = match command.resume.is_some() && folder.join(RESUME).exists() {
                true => resume(&folder, &command.data_dir, |begun| command.recipe(Table::try_from(begun)?))?,
                false => self.prepared(command, seed)?.start(&folder)?,
            };
            match train(run, &data, &folder, how, None)? {
                Ended::Interrupted => return Ok(false),
                Ended::Done(judged) => accuracies.extend(judged.map(|judged| (seed, judged.evaluation.score()))),
            }
        }
        let folders: Vec<PathBuf> = self.seeds().map(|seed| self.of_seed(seed)).collect();
        report::compare(&folders, &self.folder.join(report::REPORT))?;
        output::print(&told(&accuracies))?;
        Ok(true)
    }

    /// The run of `seed` before its first step. The folder's recipe has what the first of them was left to find out.
    fn prepared(&self, command: &Train, seed: u64) -> Result<Prepared> {
        let recipe = Recipe { seed, seeds: 1, ..self.recipe.clone() };
        let known = command.resume.is_some();
        let prepared =
            if known { Prepared::new(recipe, &command.data_dir, true)? } else { command.prepared(recipe)? };
        let Recipe { seed, seeds, .. } = self.recipe;
        Recipe { seed, seeds, ..prepared.recipe.clone() }.write(&self.folder)?;
        Ok(prepared)
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        (0..u64::from(self.recipe.seeds)).map(|i| self.recipe.seed.wrapping_add(i))
    }

    fn of_seed(&self, seed: u64) -> PathBuf {
        Path::new(&self.folder).join(format!("seed-{seed}"))
    }
}

/// A line a seed, and their mean and deviation.
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

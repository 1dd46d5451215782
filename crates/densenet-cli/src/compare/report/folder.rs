//! The files of a comparison's folder that its page is made from.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::compare::plan::{FILE, Match, Plan};
use crate::compare::results::{self, GRADIENTS, InitialGradients, RESULTS, RunResult};
use crate::report::figures::mean_and_deviation;

/// All that is known about a comparison.
pub struct Folder {
    /// The runs that are done, in the plan's order of experiments, then by network, pictures, augmentation and seed.
    pub runs: Vec<RunResult>,
    /// Gradients before the first step.
    pub gradients: Vec<InitialGradients>,
    /// What is to be run.
    pub plan: Plan,
    /// The machine.
    pub machine: Map<String, Value>,
}

impl Folder {
    /// Reads `folder`. Of runs with the same name, as when files of several parts are put together, the last counts.
    ///
    /// # Errors
    /// No plan, or a file with unexpected contents.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            let path = folder.join(name);
            crate::text::read(&path).with_context(|| path.display().to_string())
        };
        if !folder.join(FILE).exists() {
            bail!("{}: no comparison is here; its plan would be {}", folder.display(), folder.join(FILE).display());
        }
        let machine = match folder.join("machine.json").exists() {
            true => serde_json::from_str(&text("machine.json")?)
                .with_context(|| folder.join("machine.json").display().to_string())?,
            false => Map::new(),
        };
        let plan = Plan::read(&folder.join(FILE))?;
        let (runs, gradients) = (results::read(folder, RESULTS)?, results::read(folder, GRADIENTS)?);
        Ok(Self { runs, gradients, plan, machine }.in_order())
    }

    /// The same, each run once, in order.
    pub fn in_order(mut self) -> Self {
        let (mut known, mut measured) = (HashSet::new(), HashSet::new());
        self.runs.reverse();
        self.runs.retain(|run| known.insert(run.id.clone()));
        self.gradients.retain(|start| {
            let kind = (start.joining as usize, start.activation as usize);
            measured.insert((start.network.clone(), kind, start.depth, start.seed))
        });
        self.runs.sort_by_cached_key(|run| {
            let network = (run.joining as usize, run.network.clone());
            (self.plan.place(&run.experiment), network, run.augment.clone(), run.images, run.seed)
        });
        self
    }

    /// In what the networks of `experiment` are alike.
    pub fn matched(&self, experiment: &str) -> Match {
        let found = self.plan.experiments.iter().find(|e| e.name == experiment);
        found.map(|experiment| experiment.matched).unwrap_or_default()
    }

    /// The most training pictures in `experiment`; none before there are runs with every number of the plan.
    pub fn most_images(&self, experiment: &str) -> Option<usize> {
        let of_experiment = self.runs.iter().filter(|run| run.experiment == experiment);
        let sizes: BTreeSet<usize> = of_experiment.map(|run| run.images).collect();
        let planned = self.plan.experiments.iter().find(|e| e.name == experiment)?.images.len();
        sizes.last().copied().filter(|_| sizes.len() > 1 && sizes.len() == planned)
    }

    /// The runs in groups that differ only in their seed.
    pub fn cells(&self) -> Vec<Cell<'_>> {
        let mut cells: Vec<Cell> = Vec::new();
        for run in &self.runs {
            match cells.iter_mut().find(|cell| cell.is_of(run)) {
                Some(cell) => drop(cell.runs.insert(run.seed, run)),
                None => cells.push(Cell { of: run, runs: BTreeMap::from([(run.seed, run)]) }),
            }
        }
        cells
    }
}

/// Runs of one network on as many pictures, one for each seed.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// One of them, which shows what they all have in common.
    pub of: &'a RunResult,
    /// All of them by seed.
    pub runs: BTreeMap<u64, &'a RunResult>,
}

/// A mean over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, with n - 1; none for a single seed.
    pub deviation: Option<f64>,
    /// Seeds.
    pub seeds: usize,
}

impl Spread {
    /// That of `values`, leaving out those that are not finite; none where none are left.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let both = mean_and_deviation(&values);
        let mean = both.map_or_else(|| values.first().copied(), |(mean, _)| Some(mean))?;
        Some(Self { mean, deviation: both.map(|(_, deviation)| deviation), seeds: values.len() })
    }
}

impl Cell<'_> {
    fn is_of(&self, run: &RunResult) -> bool {
        let key = |run: &RunResult| (run.experiment.clone(), run.network.clone(), run.images, run.augment.clone());
        key(self.of) == key(run)
    }
}

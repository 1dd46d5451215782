//! Which pictures are evaluated.

use std::path::{Path, PathBuf};

use anyhow::Result;
use densenet::data::{Part, SPLIT, Split};

use super::Eval;
use crate::networks::Networks;
use crate::output;

impl Eval {
    /// The requested part, else the held-out one. If the weights are in the folder of the run that trained them on
    /// these very data, parts that the data do not have are that run's; a test part of the data is scored as it is now.
    pub(super) fn pictures(&self, networks: &Networks) -> Result<Split> {
        let data = self.data_options.open(&self.data)?;
        let trained_on = is_same(&networks.card().dataset, &self.data);
        let made_by_run = data.is_undivided() || matches!(self.part, Some(Part::Train | Part::Validation));
        if let Some(list) = self.list_of_run().filter(|_| trained_on && made_by_run) {
            let split = data.divide_as(&list)?.into_part(self.part)?;
            output::note(format_args!("evaluating the {} part in {}", split.part(), list.display()));
            return Ok(split);
        }
        if trained_on && self.part.is_none() && data.is_undivided() {
            output::note(format_args!(
                "{} has no parts, and there is no {SPLIT} of a run beside the weights: all its pictures are evaluated, \
                 including those that the network was trained on, so the figures are too good",
                self.data
            ));
        }
        Ok(data.into_part(self.part)?)
    }

    /// The list of the parts in the folder of the run that all weights come from, if there is one.
    fn list_of_run(&self) -> Option<PathBuf> {
        let folder = self.weights.first()?.parent()?;
        let list = folder.join(SPLIT);
        let in_folder = |weights: &PathBuf| weights.is_file() && weights.parent() == Some(folder);
        (list.is_file() && self.weights.iter().all(in_folder)).then_some(list)
    }
}

/// Whether both are the name of one data set, or paths of one folder or file.
fn is_same(one: &str, other: &str) -> bool {
    let place = |name: &str| Path::new(name).canonicalize().ok();
    one == other || place(one).is_some_and(|path| place(other) == Some(path))
}

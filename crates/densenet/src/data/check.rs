//! Data that no network can be trained on, reported before the first step.

use super::{DataSet, Split, Targets};
use crate::{Error, Result};

impl DataSet {
    /// Whether a network can be trained on it.
    ///
    /// # Errors
    /// One class only; pictures in files with a class that has none to train on; a label that has the same value for
    /// all training pictures for which it is known.
    pub fn check(&self) -> Result<()> {
        let reason = match self.train.targets() {
            Targets::Classes(_) => classes(&self.train),
            Targets::Labels(values) => labels(self.train.classes(), values),
        };
        reason.map_or(Ok(()), |reason| Err(Error::DataSet { name: self.name.clone(), reason }))
    }
}

/// What is wrong with the classes.
fn classes(train: &Split) -> Option<String> {
    if let [only] = train.classes() {
        return Some(format!("{only} is its only class; a network needs at least two to tell apart"));
    }
    // A file of labels may be the first part of a larger one.
    let empty = train.empty_class().filter(|_| train.path(0).is_some());
    empty.map(|class| format!("no training pictures of {class}; a class needs at least one"))
}

/// What is wrong with the labels `names`, where `values` are `(N, names)`.
fn labels(names: &[String], values: &[Option<bool>]) -> Option<String> {
    let wrong = names.iter().enumerate().filter_map(|(place, name)| {
        let known = values.iter().skip(place).step_by(names.len()).flatten();
        constant(known).map(|found| format!("{name} is {found}"))
    });
    let wrong: Vec<String> = wrong.collect();
    let right = "a label is learnt from pictures with and without it; use --label-columns to name only such labels";
    (!wrong.is_empty()).then(|| format!("{}; {right}", wrong.join(", ")))
}

/// Why nothing can be learnt about a label with these known values.
fn constant<'a>(mut values: impl Iterator<Item = &'a bool>) -> Option<String> {
    let Some(first) = values.next() else { return Some("known for no training picture".into()) };
    values.all(|value| value == first).then(|| format!("{} for all training pictures", u8::from(*first)))
}

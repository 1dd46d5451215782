//! Several parts as one.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Pictures, Split};
use crate::data::Targets;

impl Split {
    /// All pictures of parts of one data set, in the order of their paths; only those of the first part if they are in
    /// memory.
    ///
    /// # Panics
    /// If `parts` is empty.
    pub(in crate::data) fn joined(parts: &[&Self]) -> Self {
        let files: Vec<PathBuf> = parts.iter().flat_map(|part| part.files()).collect();
        if files.is_empty() {
            return parts[0].clone();
        }
        let (places, pictures) = ((0..files.len()).collect(), Arc::new(Pictures::Files(files)));
        let targets = Targets::joined(parts.iter().map(|part| &part.targets));
        let groups = parts.iter().flat_map(|part| part.groups.clone()).collect();
        let whole = Self { pictures, places, targets, groups, ..parts[0].clone() };
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.sort_by_key(|&index| whole.path(index));
        whole.select(&order)
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        (0..self.len()).filter_map(|index| self.path(index).map(PathBuf::from))
    }
}

//! Parts without the classes of which they have no pictures.

use std::collections::BTreeSet;

use super::{Pictures, Split};
use crate::data::Targets;

impl Split {
    /// The same without the classes that none of its pictures has. Label names stay, and so do the classes of pictures
    /// in memory, which are given by their format.
    pub(in crate::data) fn of_own_classes(self) -> Self {
        let (Targets::Classes(labels), Pictures::Files(_)) = (&self.targets, &*self.pictures) else { return self };
        let own: BTreeSet<usize> = labels.iter().copied().collect();
        let mut places = vec![0; self.classes.len()];
        own.iter().enumerate().for_each(|(place, &class)| places[class] = place);
        let targets = Targets::Classes(labels.iter().map(|&label| places[label]).collect());
        let classes = own.iter().map(|&class| self.classes[class].clone()).collect();
        Self { targets, classes, ..self }
    }
}

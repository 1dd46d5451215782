//! The lists of files that divide ChestX-ray14, published beside its table.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::data::Part;
use crate::{Error, Result};

const TRAIN: &str = "train_val_list.txt";
const TEST: &str = "test_list.txt";

/// File names, one per line: those for training and validation, and those for testing.
pub(super) struct Lists {
    train: HashSet<String>,
    test: HashSet<String>,
}

impl Lists {
    /// The lists in `folder`, if both exist.
    pub fn in_folder(folder: &Path) -> Result<Option<Self>> {
        let (train, test) = (folder.join(TRAIN), folder.join(TEST));
        if !(train.is_file() && test.is_file()) {
            return Ok(None);
        }
        let lists = Self { train: names(&train)?, test: names(&test)? };
        match lists.train.iter().filter(|&name| lists.test.contains(name)).min() {
            Some(name) => Err(Error::format(train, format!("{name} is in {TEST}, too; a picture belongs to one part"))),
            None => Ok(Some(lists)),
        }
    }

    /// The part of a file.
    pub fn part(&self, name: &str) -> Result<Part, String> {
        match (self.train.contains(name), self.test.contains(name)) {
            (true, _) => Ok(Part::Train),
            (_, true) => Ok(Part::Test),
            _ => Err(format!("{name} is neither in {TRAIN} nor in {TEST}; add it to one, or remove its row")),
        }
    }
}

fn names(path: &Path) -> Result<HashSet<String>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}

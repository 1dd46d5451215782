//! The files of a set of pictures listed in tables.

use std::path::{Path, PathBuf};

use crate::data::Part;

/// Suffixes of table files.
const SUFFIXES: [&str; 3] = ["csv", "csv.gz", "jsonl"];

/// The name of the table in Hugging Face's folders.
const METADATA: &str = "metadata";

/// The names of ChestX-ray14's table, the newer edition first.
const CHEST_XRAY14: [&str; 2] = ["Data_Entry_2017_v2020", "Data_Entry_2017"];

/// A table's file, and what its rows are for.
pub(in crate::data) struct Source {
    pub path: PathBuf,
    /// The part that all its rows belong to, where the file's name or folder shows it.
    pub part: Option<Part>,
    /// Whether the first folder of each path is its part.
    pub by_folder: bool,
}

impl Source {
    fn new(path: impl Into<PathBuf>, part: Option<Part>) -> Self {
        Self { path: path.into(), part, by_folder: false }
    }
}

/// Whether a file's name is that of a table.
pub(in crate::data) fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    SUFFIXES.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|stem| stem.ends_with('.')))
}

/// The table `path`; if it is called `train`, also the tables beside it called `val` (`valid`, `validation`) and
/// `test`.
pub(in crate::data) fn of_file(path: &Path) -> Vec<Source> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    if stem.split('.').next() != Some("train") {
        return vec![Source::new(path, None)];
    }
    with_held_out(path.into(), |name| find(folder, name))
}

/// The tables of the pictures in a folder, if there are any: `train.csv` and those beside it, ChestX-ray14's table, or
/// `metadata.csv` in the folder or in the folders of its parts.
pub(in crate::data) fn in_folder(folder: &Path) -> Vec<Source> {
    if let Some(train) = find(folder, "train") {
        return of_file(&train);
    }
    if let Some(metadata) = find(folder, METADATA) {
        return vec![Source { by_folder: true, ..Source::new(metadata, None) }];
    }
    if let Some(entries) = CHEST_XRAY14.iter().find_map(|name| find(folder, name)) {
        return vec![Source::new(entries, None)];
    }
    let of_part = |name: &str| find(&folder.join(name), METADATA);
    of_part("train").map_or(Vec::new(), |train| with_held_out(train, of_part))
}

/// The table of the training part, and those of the other parts that exist.
fn with_held_out(train: PathBuf, find: impl Fn(&str) -> Option<PathBuf>) -> Vec<Source> {
    let held_out = [Part::Validation, Part::Test].into_iter().filter_map(|part| {
        let path = part.names().iter().find_map(|name| find(name))?;
        Some(Source::new(path, Some(part)))
    });
    let held_out: Vec<Source> = held_out.collect();
    let part = (!held_out.is_empty()).then_some(Part::Train);
    std::iter::once(Source::new(train, part)).chain(held_out).collect()
}

/// The table of that name in `folder`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    SUFFIXES.iter().map(|suffix| folder.join(format!("{name}.{suffix}"))).find(|path| path.is_file())
}

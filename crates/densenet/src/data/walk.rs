//! The pictures in a folder and its subfolders.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::decode::has_picture_suffix;
use crate::{Error, Result};

/// What is in a folder and its subfolders.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Files with a picture suffix, sorted by name, folder by folder.
    pub pictures: Vec<PathBuf>,
    /// Everything else.
    pub left_out: LeftOut,
}

/// Files without a picture suffix, and broken or looping links, counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<String, usize>);

impl LeftOut {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().sum()
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(kind, count)| *self.0.entry(kind.clone()).or_default() += count);
    }

    fn add_one(&mut self, kind: &str) {
        *self.0.entry(kind.into()).or_default() += 1;
    }
}

/// Each kind and its count: `.txt: 3, link in a loop: 1`.
impl Display for LeftOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.0.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
        f.write_str(&kinds.join(", "))
    }
}

/// Finds the pictures in `folder` and its subfolders, as torchvision's `ImageFolder` does within a class.
///
/// Links are followed, but not in a loop. Hidden entries, whose names begin with a dot, are skipped.
///
/// # Errors
/// A folder that cannot be read.
pub fn pictures_in(folder: &Path) -> Result<Found> {
    let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
    let mut found = Found::default();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if !entry.file_type().is_file() => found.left_out.add_one("not a file"),
            Ok(entry) if has_picture_suffix(entry.path()) => found.pictures.push(entry.into_path()),
            Ok(entry) => found.left_out.add_one(&suffix(entry.path())),
            Err(error) => found.left_out.add_one(link(error, folder)?),
        }
    }
    Ok(found)
}

/// Whether a name begins with a dot.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn suffix(path: &Path) -> String {
    match path.extension() {
        Some(suffix) => format!(".{}", suffix.to_string_lossy().to_lowercase()),
        None => "without a suffix".into(),
    }
}

/// The kind of a link that cannot be followed.
fn link(error: walkdir::Error, folder: &Path) -> Result<&'static str> {
    let path = error.path().unwrap_or(folder).to_path_buf();
    if error.loop_ancestor().is_some() {
        return Ok("link in a loop");
    }
    if error.depth() > 0 && path.is_symlink() {
        return Ok("broken link");
    }
    Err(Error::io(path)(error.into()))
}

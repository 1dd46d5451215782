//! Where a table's pictures are.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::data::walk::pictures_in;
use crate::{Error, Result};

/// The folder that a table's paths are relative to, and must not leave.
pub(super) struct Root {
    folder: PathBuf,
    absolute: PathBuf,
    /// The pictures in the folder and its subfolders by name, once they have been needed.
    names: Option<HashMap<PathBuf, PathBuf>>,
}

impl Root {
    pub fn new(folder: &Path) -> Result<Self> {
        let whole = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !whole.is_dir() {
            return Err(Error::format(whole, "not a folder; the paths of a table are relative to one"));
        }
        let absolute = normal(&std::path::absolute(whole).map_err(Error::io(whole))?);
        Ok(Self { folder: folder.into(), absolute, names: None })
    }

    /// The file for a row's path, or why it cannot be used.
    pub fn place(&self, path: &str) -> Result<PathBuf, String> {
        if path.is_empty() {
            return Err("no path; each row must name a picture".into());
        }
        let whole = normal(&self.absolute.join(path));
        match whole.strip_prefix(&self.absolute) {
            Ok(inside) => Ok(self.folder.join(inside)),
            Err(_) => {
                let folder = self.absolute.display();
                Err(format!("{path} lies outside {folder}; name a folder that holds all pictures with --images"))
            }
        }
    }

    /// The same for CheXpert's paths, which begin with the name of the table's folder.
    pub fn place_chexpert(&self, path: &str) -> Result<PathBuf, String> {
        let placed = self.place(path)?;
        match path.split_once('/') {
            Some((first, rest)) if first.starts_with("CheXpert") && !placed.is_file() => self.place(rest),
            _ => Ok(placed),
        }
    }

    /// The same for ChestX-ray14's names; its files are in `images_001/images` to `images_012/images`, or all in one
    /// folder.
    pub fn place_by_name(&mut self, name: &str) -> Result<PathBuf, String> {
        let placed = self.place(name)?;
        if placed.is_file() {
            return Ok(placed);
        }
        if self.names.is_none() {
            let found = pictures_in(&self.absolute).map_err(|error| error.to_string())?.pictures;
            let named = found.into_iter().filter_map(|file| {
                let inside = self.folder.join(file.strip_prefix(&self.absolute).ok()?);
                Some((PathBuf::from(file.file_name()?), inside))
            });
            self.names = Some(named.collect());
        }
        Ok(self.names.as_ref().and_then(|names| names.get(Path::new(name))).cloned().unwrap_or(placed))
    }
}

/// A path without `.` and `..`; links are not resolved.
fn normal(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(whole.pop()),
            other => whole.push(other),
        }
    }
    whole
}

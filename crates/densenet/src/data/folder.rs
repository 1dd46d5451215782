//! Folders of pictures, one folder per class.

use std::fs;
use std::path::{Path, PathBuf};

use super::decode::SUFFIXES;
use super::part::Part;
use super::parts::Parts;
use super::walk::{LeftOut, is_hidden, pictures_in};
use super::{Split, divide};
use crate::{Error, Result};

/// Reads `train/CLASS/**`, `validation/CLASS/**` (or `val`, `valid`) and `test/CLASS/**`.
///
/// Where `folder` holds the classes themselves, or `train` alone, a tenth of every class with two or more pictures is
/// held out for testing, chosen by the hash of the files' names: the same pictures each time, on any machine. A part
/// without class folders, e.g. one of unlabelled pictures, is skipped.
pub(super) fn parts(folder: &Path) -> Result<Parts> {
    let train = folder.join("train");
    let undivided = !train.is_dir();
    let source = if undivided { folder } else { train.as_path() };
    let classes = subfolders(source)?;
    if classes.is_empty() {
        return Err(Error::format(source, "no class folders; pictures are expected as CLASS/PICTURE.jpg"));
    }
    let mut reading = Reading { classes, left_out: LeftOut::default(), notes: Vec::new() };
    let training = reading.pictures(source)?;
    if training.iter().all(Vec::is_empty) {
        let reason = format!("no pictures ({}) in its class folders", SUFFIXES.join(", "));
        return Err(Error::format(source, reason));
    }
    let training = reading.split(source, training, Part::Train)?;
    let mut part = |part: Part| {
        let found = part.names().iter().map(|name| folder.join(name)).find(|path| !undivided && path.is_dir());
        found.map_or(Ok(None), |path| reading.part(&path, source, part))
    };
    let (validation, test) = (part(Part::Validation)?, part(Part::Test)?);
    let (train, validation, test) = match (validation, test) {
        (validation, Some(test)) => (training, validation, test),
        (Some(validation), None) => (training, None, validation),
        (None, None) => {
            let (train, test) = held_out(source, &training)?;
            (train, None, test)
        }
    };
    let mut notes = reading.notes;
    if reading.left_out.count() > 0 {
        notes.push(format!("{}: left out files that are not pictures ({})", folder.display(), reading.left_out));
    }
    let (root, class_depth, missing) = (folder.into(), Some(usize::from(!undivided)), Vec::new());
    Ok(Parts { train, validation, test, root, class_depth, undivided, missing, notes })
}

/// The pictures of a folder that holds nothing out, divided.
fn held_out(source: &Path, all: &Split) -> Result<(Split, Split)> {
    let name = |index| all.path(index).and_then(Path::file_name).unwrap_or_default().as_encoded_bytes();
    let (kept, held) = divide::by_name(all, name);
    if held.is_empty() {
        return Err(Error::format(source, format!("{}; add some", divide::too_few(all, "pictures"))));
    }
    Ok((all.select(&kept), all.select(&held).as_part(Part::Test)))
}

/// What is known, and what has been found while the parts are read.
struct Reading {
    classes: Vec<String>,
    left_out: LeftOut,
    notes: Vec<String>,
}

impl Reading {
    /// The part in the folder `path`, or a note if it contains no classes.
    fn part(&mut self, path: &Path, train: &Path, part: Part) -> Result<Option<Split>> {
        let found = subfolders(path)?;
        if !found.iter().any(|class| self.classes.contains(class)) {
            self.notes.push(format!("{} has no class folders and is skipped", path.display()));
            return Ok(None);
        }
        if let Some(stray) = found.iter().find(|class| !self.classes.contains(class)) {
            return Err(Error::format(path.join(stray), format!("{} has no class {stray}", train.display())));
        }
        let pictures = self.pictures(path)?;
        self.split(path, pictures, part).map(Some)
    }

    /// The pictures of each class.
    fn pictures(&mut self, part: &Path) -> Result<Vec<Vec<PathBuf>>> {
        let mut of_class = |class: &String| {
            let folder = part.join(class);
            if !folder.is_dir() {
                return Ok(Vec::new());
            }
            let found = pictures_in(&folder)?;
            self.left_out.add(&found.left_out);
            Ok(found.pictures)
        };
        self.classes.iter().map(&mut of_class).collect()
    }

    fn split(&self, path: &Path, pictures: Vec<Vec<PathBuf>>, part: Part) -> Result<Split> {
        let labels = pictures.iter().enumerate().flat_map(|(c, files)| std::iter::repeat_n(c, files.len())).collect();
        let files = pictures.into_iter().flatten().collect();
        Ok(Split::of_files(path, files, labels, self.classes.clone())?.as_part(part))
    }
}

/// The sorted names of the folders in `folder`, including links to folders, without hidden ones.
fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if is_hidden(&entry.file_name()) || !entry.path().is_dir() {
            continue;
        }
        match entry.file_name().into_string() {
            Ok(name) => names.push(name),
            Err(_) => return Err(Error::format(entry.path(), "a class name must be UTF-8")),
        }
    }
    names.sort();
    Ok(names)
}

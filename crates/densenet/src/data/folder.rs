//! Folders of pictures, a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Split;
use super::decode::SUFFIXES;
use super::part::Part;
use super::walk::{LeftOut, is_hidden, pictures_in};
use crate::{Error, Result};

/// The names that a folder of validation pictures may have, in the order of preference.
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];

/// The parts of a folder.
pub(super) struct Parts {
    pub train: Split,
    pub validation: Option<Split>,
    /// What is held out; the validation part where there is no other.
    pub test: Split,
    /// Whether the folder holds the classes themselves, and `train` and `test` were parted here.
    pub undivided: bool,
    /// What was found and not taken, in words.
    pub notes: Vec<String>,
}

/// Reads `train/CLASS/**`, `validation/CLASS/**` (or `val`, `valid`) and `test/CLASS/**`.
///
/// Where `folder` holds the classes themselves, or `train` alone, a tenth of every class of two pictures or more is held out,
/// chosen by the hash of the files' names: the same pictures each time, on any machine. A part without folders of classes,
/// as one of pictures that nobody has labelled, is passed over.
pub(super) fn parts(folder: &Path) -> Result<Parts> {
    let train = folder.join("train");
    let undivided = !train.is_dir();
    let source = if undivided { folder } else { train.as_path() };
    let classes = subfolders(source)?;
    if classes.is_empty() {
        return Err(Error::format(source, "no folders of classes; pictures are looked for as CLASS/PICTURE.jpg"));
    }
    let mut reading = Reading { classes, left_out: LeftOut::default(), notes: Vec::new() };
    let training = reading.pictures(source)?;
    if training.iter().all(Vec::is_empty) {
        let reason = format!("no pictures ({}) in its folders of classes", SUFFIXES.join(", "));
        return Err(Error::format(source, reason));
    }
    let mut part = |names: &[&str], part| {
        let found = names.iter().map(|name| folder.join(name)).find(|path| !undivided && path.is_dir());
        found.map_or(Ok(None), |path| reading.part(&path, source, part))
    };
    let (validation, test) = (part(&VALIDATION, Part::Validation)?, part(&["test"], Part::Test)?);
    let (training, validation, test) = match (validation, test) {
        (validation, Some(test)) => (training, validation, test),
        (Some(validation), None) => (training, None, validation),
        (None, None) => {
            let (kept, held) = hold_out(training);
            (kept, None, reading.split(source, held, Part::Validation)?)
        }
    };
    let train = reading.split(source, training, Part::Train)?;
    let mut notes = reading.notes;
    if reading.left_out.count() > 0 {
        notes.push(format!("{}: left out what is no picture ({})", folder.display(), reading.left_out));
    }
    Ok(Parts { train, validation, test, undivided, notes })
}

/// All the pictures of two parts of one folder, in the order of their paths.
pub(super) fn joined(one: &Split, other: &Split) -> Result<Split> {
    let labelled = |split: &'_ Split| -> Vec<(usize, PathBuf)> {
        (0..split.len()).filter_map(|i| Some((split.labels()[i], split.path(i)?.to_path_buf()))).collect()
    };
    let mut all = [labelled(one), labelled(other)].concat();
    all.sort();
    let (labels, files) = all.into_iter().unzip();
    Ok(Split::of_files(Path::new("."), files, labels, one.classes().to_vec())?.as_part(one.part()))
}

/// What is known and has been found while the parts are read.
struct Reading {
    classes: Vec<String>,
    left_out: LeftOut,
    notes: Vec<String>,
}

impl Reading {
    /// The part in the folder `path`, or a note where there are no classes in it.
    fn part(&mut self, path: &Path, train: &Path, part: Part) -> Result<Option<Split>> {
        let found = subfolders(path)?;
        if !found.iter().any(|class| self.classes.contains(class)) {
            self.notes.push(format!("{} has no folders of classes and is passed over", path.display()));
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

/// A tenth of every class of two pictures or more, rounded up, taken out by the least hash of name.
fn hold_out(classes: Vec<Vec<PathBuf>>) -> (Vec<Vec<PathBuf>>, Vec<Vec<PathBuf>>) {
    let divide = |mut files: Vec<PathBuf>| {
        files.sort_by_cached_key(|file| {
            Sha256::digest(file.file_name().unwrap_or_default().as_encoded_bytes()).to_vec()
        });
        let held = if files.len() < 2 { 0 } else { files.len().div_ceil(10) };
        let mut kept = files.split_off(held);
        kept.sort();
        files.sort();
        (kept, files)
    };
    classes.into_iter().map(divide).unzip()
}

/// The names of the folders in `folder`, links to folders among them, sorted, hidden ones left out.
fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if is_hidden(&entry.file_name()) || !entry.path().is_dir() {
            continue;
        }
        match entry.file_name().into_string() {
            Ok(name) => names.push(name),
            Err(_) => return Err(Error::format(entry.path(), "a class's name must be UTF-8")),
        }
    }
    names.sort();
    Ok(names)
}

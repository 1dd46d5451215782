//! Folders of pictures, a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Split;
use super::decode::{SUFFIXES, has_picture_suffix};
use crate::{Error, Result};

/// The names that the part which is held out of training may have, in the order of preference.
const HELD_OUT: [&str; 4] = ["test", "validation", "val", "valid"];

/// Reads `train/CLASS/*` and `test/CLASS/*` (or `validation`, `val`, `valid`) as training and test part.
///
/// Where there is only one part, or `folder` holds the classes themselves, a tenth of every class of two pictures or
/// more is held out as the test part, chosen by the hash of the files' names: the same pictures each time, on any
/// machine.
pub(super) fn splits(folder: &Path) -> Result<(Split, Split)> {
    let train = folder.join("train");
    let source = if train.is_dir() { train.as_path() } else { folder };
    let classes = subfolders(source)?;
    if classes.is_empty() {
        return Err(Error::format(source, "no folders of classes; pictures are looked for as CLASS/PICTURE.jpg"));
    }
    let training = pictures(source, &classes)?;
    if let Some((_, class)) = training.iter().zip(&classes).find(|(files, _)| files.is_empty()) {
        let reason = format!("no pictures ({}); a class needs at least one to train on", SUFFIXES.join(", "));
        return Err(Error::format(source.join(class), reason));
    }
    let test = HELD_OUT.iter().map(|name| folder.join(name)).find(|part| source != folder && part.is_dir());
    let Some(test) = test else {
        let (kept, held) = hold_out(training);
        return Ok((split(source, kept, &classes)?, split(source, held, &classes)?));
    };
    if let Some(stray) = subfolders(&test)?.iter().find(|class| !classes.contains(class)) {
        return Err(Error::format(test.join(stray), format!("{} has no class {stray}", source.display())));
    }
    Ok((split(source, training, &classes)?, split(&test, pictures(&test, &classes)?, &classes)?))
}

/// The pictures of each class in the order of their names.
fn pictures(part: &Path, classes: &[String]) -> Result<Vec<Vec<PathBuf>>> {
    let of_class = |class: &String| {
        let folder = part.join(class);
        let mut files = if folder.is_dir() { entries(&folder)? } else { Vec::new() };
        files.retain(|file| has_picture_suffix(file) && file.is_file());
        Ok(files)
    };
    classes.iter().map(of_class).collect()
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

fn split(part: &Path, pictures: Vec<Vec<PathBuf>>, classes: &[String]) -> Result<Split> {
    let labels = pictures.iter().enumerate().flat_map(|(c, files)| std::iter::repeat_n(c, files.len())).collect();
    Split::of_files(part, pictures.into_iter().flatten().collect(), labels, classes.to_vec())
}

/// The names of the folders in `folder`, sorted, hidden ones left out.
fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let named = |path: PathBuf| match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::format(path, "a class's name must be UTF-8")),
    };
    entries(folder)?.into_iter().filter(|path| path.is_dir()).map(named).collect()
}

/// What is in `folder`, sorted by name, hidden entries left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

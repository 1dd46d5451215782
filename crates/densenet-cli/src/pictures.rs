//! Folders of pictures that have no classes.

use std::path::Path;

use anyhow::Result;
use densenet::data::{Split, has_picture_suffix, pictures_in};

use crate::data_dir::DataDir;

/// All pictures in and below a `folder` that itself holds pictures, and so has no classes; none for another folder, or none.
pub fn without_classes(folder: &Path, data_dir: &DataDir) -> Result<Option<Split>> {
    let holds_pictures = |entries: std::fs::ReadDir| entries.flatten().any(|entry| has_picture_suffix(&entry.path()));
    if !folder.read_dir().is_ok_and(holds_pictures) {
        return Ok(None);
    }
    let files = pictures_in(folder)?.pictures;
    let classes = vec![0; files.len()];
    let split = Split::of_files(folder, files, classes, vec!["picture".into()])?;
    Ok(Some(split.within(data_dir.max_pixels())))
}

//! Weights in several safetensors files, with an index that says which tensor is in which.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Deserialize;

use super::safetensor::{self, Contents};
use crate::{Error, Result};

/// The largest index that is read, in bytes; that of the largest network is a hundredth of it.
const LARGEST_INDEX: u64 = 16 << 20;

/// More files than any network of the family is kept in.
const MOST_FILES: usize = 1_000;

#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Opens the files that the index `path` names, all in its folder; returns their contents and their total size in
/// bytes.
///
/// # Errors
/// An index that cannot be read or names files elsewhere, or a file that is missing, damaged or lacks a tensor.
pub(super) fn open(path: &Path) -> Result<(Contents, u64)> {
    let wrong = |reason: String| Error::format(path, format!("not a sound index of safetensors files: {reason}"));
    let length = path.metadata().map_err(Error::io(path))?.len();
    if length > LARGEST_INDEX {
        return Err(wrong(format!("it has {length} bytes; at most {LARGEST_INDEX} are read")));
    }
    let text = std::fs::read(path).map_err(Error::io(path))?;
    let Index { weight_map } = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let mut files: Vec<&str> = weight_map.values().map(String::as_str).collect();
    files.sort_unstable();
    files.dedup();
    if files.is_empty() || files.len() > MOST_FILES {
        return Err(wrong(format!("it names {} files", files.len())));
    }
    let mut whole: Option<Contents> = None;
    let mut bytes = 0;
    for name in files {
        if Path::new(name).file_name().is_none_or(|plain| plain != name) {
            return Err(wrong(format!("it names {name:?}; its files must be in the same folder")));
        }
        let file = path.with_file_name(name);
        let source = File::open(&file).map_err(Error::io(&file))?;
        let length = source.metadata().map_err(Error::io(&file))?.len();
        let part = safetensor::open(Box::new(source), length, &file)?;
        bytes += length;
        whole = Some(match whole {
            Some(whole) => whole.and(part),
            None => part,
        });
    }
    let whole = whole.ok_or_else(|| wrong("it names no file".into()))?;
    match whole.tensors.iter().map(|stored| &stored.name).find(|name| !weight_map.contains_key(*name)) {
        Some(name) => Err(wrong(format!("{name} is in a file, but not in the index"))),
        None if whole.tensors.len() != weight_map.len() => {
            let (found, named) = (whole.tensors.len(), weight_map.len());
            Err(wrong(format!("it names {named} tensors; the files hold {found}")))
        }
        None => Ok((whole, bytes)),
    }
}

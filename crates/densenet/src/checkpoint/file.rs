//! A weight file of any format: its tensors in order, its texts, and its values, which stay on disk until they are
//! read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::stored::Stored;
use super::{pickle, safetensor};
use crate::{Error, Result};

/// More tensors than any network of the family has.
const MOST_TENSORS: usize = 100_000;

/// A weight file whose description is read and found sound.
pub(super) struct WeightFile {
    pub path: PathBuf,
    /// In the file's own order where it has one, else by name.
    pub tensors: Vec<Stored>,
    /// What the file says beside its tensors.
    pub texts: HashMap<String, String>,
    values: Values,
    length: u64,
}

pub(super) enum Values {
    Safetensors(safetensor::Values),
    Pickle(Vec<pytorch_reader::Tensor>),
}

impl WeightFile {
    /// Opens `path`, whatever its name ends in: the content tells the format.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut head = Vec::new();
        file.by_ref().take(512).read_to_end(&mut head).map_err(Error::io(path))?;
        let (tensors, texts, values) = match kind(path, &head) {
            Some(Kind::Safetensors) => {
                let (tensors, texts, values) = safetensor::open(Box::new(file), length, path)?;
                (tensors, texts, Values::Safetensors(values))
            }
            Some(Kind::Pickle) => {
                let (tensors, values) = pickle::open(path, &head)?;
                (tensors, HashMap::new(), Values::Pickle(values))
            }
            Some(Kind::Tar) => {
                let reason = "a tar file, as PyTorch wrote before 2017; load it there and save it again";
                return Err(Error::format(path, reason));
            }
            None => {
                let reason = "neither a safetensors file nor a PyTorch checkpoint (.pth, .pt): its first bytes are of \
                              neither";
                return Err(Error::format(path, reason));
            }
        };
        if tensors.len() > MOST_TENSORS {
            return Err(Error::format(path, format!("{} tensors; no DenseNet has so many", tensors.len())));
        }
        Ok(Self { path: path.into(), tensors, texts, values, length })
    }

    /// A safetensors file that is in memory; errors call it `name`.
    pub fn in_memory(name: &str, bytes: &'static [u8]) -> Result<Self> {
        let (path, length) = (Path::new(name), bytes.len() as u64);
        let (tensors, texts, values) = safetensor::open(Box::new(Cursor::new(bytes)), length, path)?;
        Ok(Self { path: path.into(), tensors, texts, values: Values::Safetensors(values), length })
    }

    /// Checks that tensors together take no more bytes than the file has. A PyTorch file can announce any number, by
    /// views that repeat what is stored.
    pub fn check_size(&self, numbers: impl Iterator<Item = usize>) -> Result<()> {
        let bytes = numbers.map(|index| {
            let stored = &self.tensors[index];
            stored
                .elements()
                .and_then(|elements| elements.checked_mul(stored.dtype.bitsize() / 8))
                .unwrap_or(usize::MAX)
        });
        let total = bytes.fold(0u64, |total, bytes| total.saturating_add(bytes as u64));
        if total > self.length {
            let reason = format!("its weights would take {total} bytes, but it has {}", self.length);
            return Err(Error::format(&self.path, reason));
        }
        Ok(())
    }

    /// Reads tensor number `index` into `out`, which is as long, as `f32`.
    pub fn read(&mut self, index: usize, out: &mut [f32]) -> Result<()> {
        let stored = &self.tensors[index];
        let wrong = |reason: String| Error::format(&self.path, format!("{}: {reason}", stored.name));
        if stored.elements() != Some(out.len()) {
            return Err(wrong(format!("its shape is {:?}; {} elements are needed", stored.shape, out.len())));
        }
        match &mut self.values {
            Values::Safetensors(values) => values.read(index, stored.dtype, out).map_err(|e| wrong(e.to_string())),
            Values::Pickle(tensors) => pickle::read(&tensors[index], out).map_err(|e| wrong(e.to_string())),
        }
    }

    /// Tensor number `index` as a count; none where it is no single 64-bit integer from 0 up.
    pub fn count(&mut self, index: usize) -> Result<Option<u64>> {
        let stored = &self.tensors[index];
        if stored.dtype != Dtype::I64 || stored.elements() != Some(1) {
            return Ok(None);
        }
        let bytes = match &mut self.values {
            Values::Safetensors(values) => values.bytes(index),
            Values::Pickle(tensors) => tensors[index].read(),
        };
        let bytes = bytes.map_err(|e| Error::format(&self.path, format!("{}: {e}", stored.name)))?;
        Ok(bytes.try_into().ok().and_then(|bytes| i64::from_le_bytes(bytes).try_into().ok()))
    }
}

enum Kind {
    Safetensors,
    Pickle,
    Tar,
}

/// The format of a file that begins with `head`.
fn kind(path: &Path, head: &[u8]) -> Option<Kind> {
    // The length of a header, below 2^40, and its first character.
    if head.get(5..9) == Some(b"\0\0\0{") {
        Some(Kind::Safetensors)
    } else if head.starts_with(b"PK") || head.first() == Some(&0x80) {
        Some(Kind::Pickle)
    } else if head.get(257..262) == Some(b"ustar") {
        Some(Kind::Tar)
    } else if path.extension().is_some_and(|ending| ending == "safetensors") {
        // A damaged one, whose reader says what is wrong.
        Some(Kind::Safetensors)
    } else {
        None
    }
}

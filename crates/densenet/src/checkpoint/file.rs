//! A weight file of any format: its tensors in order, its texts, and its values, which stay on disk until they are
//! read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::entry::{self, Entry};
use super::format::{self, Format};
use super::hub::{self, HubConfig};
use super::stored::Stored;
use super::{pickle, safetensor, shards};
use crate::card::Card;
use crate::{Error, Result};

/// More tensors than any network of the family has.
const MOST_TENSORS: usize = 100_000;

/// A weight file whose description has been read and found sound.
pub(super) struct WeightFile {
    pub path: PathBuf,
    /// In the file's own order where it has one, else by name.
    pub tensors: Vec<Stored>,
    /// The texts in the file besides its tensors.
    pub texts: HashMap<String, String>,
    /// What a folder says about the file in it.
    pub hub: Option<HubConfig>,
    /// Notes on the choice of these tensors.
    pub notes: Vec<String>,
    values: Values,
    /// Bytes of the file, or of all of them.
    length: u64,
}

pub(super) enum Values {
    Safetensors(safetensor::Values),
    Pickle(Vec<pytorch_reader::Tensor>),
}

impl WeightFile {
    /// Opens `path`, whatever its extension: the content determines the format. A folder is one from a model hub. Of
    /// several networks, `entry` is used.
    pub fn open(path: &Path, entry: Option<&str>) -> Result<Self> {
        if path.is_dir() {
            let hub::Folder { weights, config } = hub::find(path)?;
            return Ok(Self { hub: config, ..Self::open(&weights, entry)? });
        }
        let mut file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut head = Vec::new();
        file.by_ref().take(512).read_to_end(&mut head).map_err(Error::io(path))?;
        match format::of(path, &head)? {
            Format::Safetensors => {
                Self::of_safetensors(path, safetensor::open(Box::new(file), length, path)?, length, entry)
            }
            Format::Shards => {
                let (contents, length) = shards::open(path)?;
                Self::of_safetensors(path, contents, length, entry)
            }
            Format::Pickle => {
                let pickle::Contents { tensors, values, notes } = pickle::open(path, &head, entry)?;
                Self::new(path, tensors, HashMap::new(), Values::Pickle(values), length)
                    .map(|file| Self { notes, ..file })
            }
        }
    }

    /// A safetensors file that is in memory; errors call it `name`.
    pub fn in_memory(name: &str, bytes: &'static [u8]) -> Result<Self> {
        let (path, length) = (Path::new(name), bytes.len() as u64);
        Self::of_safetensors(path, safetensor::open(Box::new(Cursor::new(bytes)), length, path)?, length, None)
    }

    fn of_safetensors(path: &Path, contents: safetensor::Contents, length: u64, entry: Option<&str>) -> Result<Self> {
        // One of our files holds one network, and perhaps the state of a run.
        let ours = Card::of_metadata(&contents.texts).is_some() || contents.texts.contains_key("training");
        let named: Vec<_> = contents.tensors.iter().map(|stored| (&*stored.name, stored.shape.len())).collect();
        let found = match ours {
            true => Entry::default(),
            false => entry::find(&named, entry).map_err(|reason| Error::format(path, reason))?,
        };
        let safetensor::Contents { tensors, texts, values } = contents.under(&found.prefix);
        let file = Self::new(path, tensors, texts, Values::Safetensors(values), length)?;
        Ok(Self { notes: found.notes, ..file })
    }

    fn new(
        path: &Path,
        tensors: Vec<Stored>,
        texts: HashMap<String, String>,
        values: Values,
        length: u64,
    ) -> Result<Self> {
        if tensors.len() > MOST_TENSORS {
            return Err(Error::format(path, format!("{} tensors; no DenseNet has that many", tensors.len())));
        }
        Ok(Self { path: path.into(), tensors, texts, hub: None, notes: Vec::new(), values, length })
    }

    /// Checks that tensors together take no more bytes than the file has. A PyTorch file can announce any number,
    /// through views that repeat what is stored.
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

    /// Reads tensor number `index` into `out`, which has the same length, as `f32`.
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

    /// Tensor number `index` as a count; `None` where it is not a single, non-negative 64-bit integer.
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

//! Reading safetensors files.
//!
//! The values are read with `read`, straight into the arenas that the network keeps. Memory mapping would save nothing:
//! every value is copied into an arena once in either case, and mapping a file that another process may truncate is
//! unsafe.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::element::widen;
use super::stored::{Source, Stored};
use crate::{Error, Result};

/// The largest header that is read; that of the largest network is a thousandth of it.
const LARGEST_HEADER: u64 = 100_000_000;

/// Where the values of one or several files are.
pub(super) struct Values {
    sources: Vec<Box<dyn Source>>,
    places: Vec<Place>,
}

/// Where a tensor's values are.
#[derive(Clone)]
struct Place {
    /// The number of the file.
    source: usize,
    /// Bytes, counted from the start of the file.
    bytes: Range<u64>,
}

impl Values {
    /// Reads tensor number `index`, of elements of `dtype`, into `out`.
    pub fn read(&mut self, index: usize, dtype: Dtype, out: &mut [f32]) -> io::Result<()> {
        if dtype == Dtype::F32 {
            let Place { source, bytes } = self.places[index].clone();
            self.sources[source].seek(SeekFrom::Start(bytes.start))?;
            return self.sources[source].read_exact(bytemuck::cast_slice_mut(out));
        }
        widen(dtype, &self.bytes(index)?, out)
    }

    /// The bytes of tensor number `index` as stored in the file.
    pub fn bytes(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let Place { source, bytes: Range { start, end } } = self.places[index].clone();
        self.sources[source].seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; (end - start) as usize];
        self.sources[source].read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What is in one or several files.
pub(super) struct Contents {
    /// In the order of their offsets.
    pub tensors: Vec<Stored>,
    pub texts: HashMap<String, String>,
    pub values: Values,
}

impl Contents {
    /// The same, with the contents of another file added.
    pub fn and(mut self, other: Self) -> Self {
        let files = self.values.sources.len();
        let moved = other.values.places.into_iter().map(|place| Place { source: place.source + files, ..place });
        self.values.places.extend(moved);
        self.values.sources.extend(other.values.sources);
        self.tensors.extend(other.tensors);
        self.texts.extend(other.texts);
        self
    }

    /// The tensors whose names begin with `prefix`, which is removed.
    pub fn under(self, prefix: &str) -> Self {
        let Values { sources, places } = self.values;
        let inside = |(stored, place): (Stored, Place)| {
            let name = stored.name.strip_prefix(prefix)?.to_owned();
            Some((Stored { name, ..stored }, place))
        };
        let (tensors, places) = self.tensors.into_iter().zip(places).filter_map(inside).unzip();
        Self { tensors, texts: self.texts, values: Values { sources, places } }
    }
}

/// Reads the header of `source`, which has `length` bytes; errors call it `path`.
///
/// # Errors
/// A file that cannot be read, is not a safetensors file, or is cut off or damaged.
pub(super) fn open(mut source: Box<dyn Source>, length: u64, path: &Path) -> Result<Contents> {
    let wrong = |reason: String| Error::format(path, format!("not a sound safetensors file: {reason}"));
    let mut prefix = [0; 8];
    if length < 8 {
        return Err(wrong(format!("it has {length} bytes; the length of the header alone takes 8")));
    }
    source.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    source.read_exact(&mut prefix).map_err(Error::io(path))?;
    let header = u64::from_le_bytes(prefix);
    if header > LARGEST_HEADER.min(length - 8) {
        return Err(wrong(format!("it announces a header of {header} bytes in a file of {length}")));
    }
    let mut text = vec![0; header as usize];
    source.read_exact(&mut text).map_err(Error::io(path))?;
    let start = 8 + header;
    let metadata = parse(&text, length - start).map_err(wrong)?;
    let tensors = metadata.tensors();
    let mut tensors: Vec<(String, &TensorInfo)> = tensors.into_iter().collect();
    tensors.sort_by(|(a, x), (b, y)| (x.data_offsets, a).cmp(&(y.data_offsets, b)));
    let bytes = |info: &TensorInfo| start + info.data_offsets.0 as u64..start + info.data_offsets.1 as u64;
    let places = tensors.iter().map(|(_, info)| Place { source: 0, bytes: bytes(info) }).collect();
    let stored = |(name, info): (String, &TensorInfo)| Stored { name, dtype: info.dtype, shape: info.shape.clone() };
    let tensors = tensors.into_iter().map(stored).collect();
    let texts = metadata.metadata().clone().unwrap_or_default();
    Ok(Contents { tensors, texts, values: Values { sources: vec![source], places } })
}

/// Parses the header `text` of a file with this many bytes of values.
fn parse(text: &[u8], values: u64) -> Result<Metadata, String> {
    serde_json::from_slice::<EachOnce>(text).map_err(|e| format!("its header: {e}"))?;
    let metadata: Metadata = serde_json::from_slice(text).map_err(|e| format!("its header: {e}"))?;
    let announced = metadata.data_len() as u64;
    if announced != values {
        return Err(format!("its header announces {announced} bytes of values; there are {values}"));
    }
    Ok(metadata)
}

/// An object in which no name occurs twice; a map would silently keep the last.
struct EachOnce;

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for EachOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if let Some(twice) = seen.replace(name) {
                return Err(A::Error::custom(format!("{twice} occurs twice in it")));
            }
        }
        Ok(self)
    }
}

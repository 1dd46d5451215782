//! Writing the safetensors format so that equal contents give equal bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use serde_json::json;

use crate::Result;
use crate::files::write_whole;

/// A tensor to be written.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    /// Extents, outermost first; empty for a single number.
    pub(crate) shape: &'a [usize],
    /// The little-endian values, row-major.
    pub(crate) bytes: &'a [u8],
}

/// Writes `entries` after a header with `metadata`; the `safetensors` crate would order the header randomly. Readers
/// map the file into memory, so the widest types come first; otherwise entries keep their order.
///
/// # Errors
/// A file that cannot be written; what was at `path` before is kept.
pub(crate) fn write(path: &Path, metadata: BTreeMap<String, String>, mut entries: Vec<Entry<'_>>) -> Result<()> {
    entries.sort_by_key(|entry| Reverse(entry.dtype.bitsize()));
    let mut header = BTreeMap::from([("__metadata__".to_string(), json!(metadata))]);
    let mut start = 0;
    for entry in &entries {
        let end = start + entry.bytes.len();
        let place = json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [start, end] });
        header.insert(entry.name.clone(), place);
        start = end;
    }
    let mut header = json!(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    write_whole(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        entries.iter().try_for_each(|entry| file.write_all(entry.bytes))
    })
}

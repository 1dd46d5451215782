//! CIFAR's binary files: records of one label byte (CIFAR-10) or two (CIFAR-100: coarse, fine), then the red, green
//! and blue planes of 32x32 bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Split;
use super::known::Layout;
use crate::{Error, Result};

/// Height and width.
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// Size in bytes beyond which a file is not read; the published ones have 30 and 154 MB.
const MAX_BYTES: u64 = 1 << 31;

/// The files of each part: training, test.
pub(super) fn files(layout: Layout) -> [&'static [&'static str]; 2] {
    match layout {
        Layout::Cifar10 => [
            &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
            &["test_batch.bin"],
        ],
        _ => [&["train.bin"], &["test.bin"]],
    }
}

/// Reads `names` in `folder`, one after the other; each record begins with `label_bytes` bytes, the last of which is
/// the label.
pub(super) fn split(folder: &Path, names: &[&str], label_bytes: usize, classes: &[String]) -> Result<Split> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(name);
        let records = read(&path, label_bytes + 3 * PLANE)?;
        pixels.reserve(records.len());
        for (i, record) in records.chunks_exact(label_bytes + 3 * PLANE).enumerate() {
            let label = usize::from(record[label_bytes - 1]);
            if label >= classes.len() {
                let reason =
                    format!("label {label} of record {i} is out of range; {} classes count from 0", classes.len());
                return Err(Error::format(path, reason));
            }
            labels.push(label);
            let planes = &record[label_bytes..];
            pixels.extend((0..PLANE).flat_map(|p| [planes[p], planes[PLANE + p], planes[2 * PLANE + p]]));
        }
    }
    Split::in_memory(folder, [SIDE, SIDE, 3], pixels, labels, classes.to_vec())
}

/// The bytes of a file of whole records, at least one.
fn read(path: &Path, record: usize) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length == 0 || !length.is_multiple_of(record as u64) || length > MAX_BYTES {
        let reason = format!("{length} bytes; it must hold whole records of {record} bytes, up to {MAX_BYTES} in all");
        return Err(Error::format(path, reason));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

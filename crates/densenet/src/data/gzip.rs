//! Files that may be gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::{Error, Result};

/// The file's content, decompressed if it begins like gzip.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let start = file.fill_buf().map_err(Error::io(path))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
}

//! The limit on a picture's pixels.

use std::path::Path;

use crate::{Error, Result};

/// Refuses a picture of `width` by `height` with more than `max_pixels`, for formats that cannot be decoded at a
/// fraction.
pub(super) fn check_pixels(width: usize, height: usize, max_pixels: usize, path: &Path) -> Result<()> {
    let count = width as u64 * height as u64;
    if count <= max_pixels as u64 {
        return Ok(());
    }
    let reason = format!("{width}x{height} is {count} pixels; at most {max_pixels} are decoded (--max-pixels)");
    Err(Error::format(path, reason))
}

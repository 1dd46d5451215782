//! What decoders give: pixels, and which way up they are.

use std::path::Path;

use image::metadata::Orientation;

use crate::data::beside::Beside;
use crate::{Error, Result};

/// A decoded picture.
pub struct Pixels {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `[height, width, channels]`, row-major.
    pub data: Vec<u8>,
    /// What else the file holds of them.
    pub beside: Beside<'static>,
    /// What the file says is to be done to see it upright.
    pub orientation: Orientation,
}

/// Refuses a picture of `width` by `height`, which is not decoded at a fraction, above `max_pixels`.
pub(super) fn check_pixels(width: usize, height: usize, max_pixels: usize, path: &Path) -> Result<()> {
    let count = width as u64 * height as u64;
    if count <= max_pixels as u64 {
        return Ok(());
    }
    let reason = format!("{width}x{height} is {count} pixels; at most {max_pixels} are decoded (--max-pixels)");
    Err(Error::format(path, reason))
}

/// What PIL's `convert("RGB")` makes of a pixel of cyan, magenta, yellow and black ink, 255 being all of it.
pub(super) fn rgb_of_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let scaled = u32::from(ink) * light + 128;
        (light - (((scaled >> 8) + scaled) >> 8)) as u8
    })
}

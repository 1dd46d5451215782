//! The result of decoding: pixels, and which way up they are.

use crate::data::beside::Beside;

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
    /// The file's other data about them.
    pub beside: Beside<'static>,
    /// Their EXIF orientation, from 1 (upright) to 8.
    pub orientation: u8,
}

//! Small pictures for a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use densenet::data::Picture;

use super::embeddings::Source;

/// Pixels of a picture's longer side.
pub const LARGE: usize = 112;

/// The same, where there are many pictures.
pub const SMALL: usize = 48;

/// A JPEG of `picture` in Base64, whose longer side has at most `side` pixels; none where it cannot be made.
pub fn encoded(picture: &Picture<'_>, side: usize) -> Option<String> {
    picture.thumbnail(side).ok().map(|jpeg| STANDARD.encode(jpeg))
}

/// The same for the picture in a file of at most that many pixels; none for what is in an array.
pub fn of(source: &Source, side: usize, max_pixels: usize) -> Option<String> {
    match source {
        Source::Picture(path) => encoded(&Picture::open_within(path, max_pixels).ok()?, side),
        Source::Row(..) => None,
    }
}

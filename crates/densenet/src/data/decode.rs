//! Pixels from a file's bytes in any format; the content determines the format, not the name.

#[cfg(feature = "pictures")]
mod inks;
#[cfg(feature = "pictures")]
mod jpeg;
#[cfg(feature = "pictures")]
mod limit;
#[cfg(feature = "pictures")]
mod others;
mod pixels;
#[cfg(feature = "pictures")]
mod planes;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::{Error, Result};
pub(super) use pixels::Pixels;

/// Suffixes of the files in a folder that are read as pictures.
pub const SUFFIXES: [&str; 13] =
    ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "ico"];

/// Whether a file's suffix is one of [`SUFFIXES`], in upper or lower case.
pub fn has_picture_suffix(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known)))
}

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is decoding a picture.
///
/// If a decoder panics on a damaged file, the panic is caught and the file is reported as an error like any other. The
/// program's panic hook is called first; it can check this function to keep silent about such a panic.
pub fn is_decoding() -> bool {
    DECODING.get()
}

/// Decodes a file's bytes; errors call it `path`. A picture with more than `max_pixels` is refused before it is
/// decoded, except for a JPEG that fits at a half, a quarter or an eighth of its size.
#[cfg(feature = "pictures")]
pub(super) fn decode(bytes: &[u8], path: &Path, max_pixels: usize) -> Result<Pixels> {
    guarded(path, || match bytes {
        [] => Err(Error::format(path, "an empty file, not a picture")),
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes, path, max_pixels),
        _ => others::decode(bytes, path, max_pixels),
    })
}

/// Rejects every picture: this build has no decoders.
#[cfg(not(feature = "pictures"))]
pub(super) fn decode(_bytes: &[u8], path: &Path, _max_pixels: usize) -> Result<Pixels> {
    guarded(path, || Err(Error::format(path, "this build cannot decode pictures; it lacks the feature `pictures`")))
}

/// The result of `read`, or an error if it panics.
fn guarded(path: &Path, read: impl FnOnce() -> Result<Pixels>) -> Result<Pixels> {
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(read));
    DECODING.set(false);
    decoded.unwrap_or_else(|_| Err(Error::format(path, "not a readable picture: the decoder gave up on it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_is_an_error_that_a_hook_can_leave_unsaid() {
        let decoded = guarded(Path::new("some.jpg"), || {
            assert!(is_decoding());
            // Unlike `panic!`, this calls no hook, so that the test's output stays clean.
            std::panic::resume_unwind(Box::new("at a loss"))
        });
        let message = decoded.err().unwrap().to_string();
        assert_eq!(message, "some.jpg: not a readable picture: the decoder gave up on it");
        assert!(!is_decoding());
    }
}

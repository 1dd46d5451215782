//! The option `--max-pixels`.

use clap::Args;
use densenet::data::MAX_PIXELS;

/// How large a picture may be.
#[derive(Args)]
pub struct MaxPixels {
    /// Pixels of a file beyond which a JPEG is decoded at a half, a quarter or an eighth of its size, and other files
    /// are refused
    #[arg(long, value_name = "N", default_value_t = MAX_PIXELS as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
}

impl MaxPixels {
    /// The number of pixels.
    pub fn get(&self) -> usize {
        usize::try_from(self.max_pixels).unwrap_or(usize::MAX)
    }
}

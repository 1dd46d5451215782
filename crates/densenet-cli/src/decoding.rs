//! What the command line says of how a picture's file becomes pixels.

use clap::Args;
use densenet::data::{Orientation, Preprocessing};

use crate::word::word;

/// How a picture's file becomes pixels.
#[derive(Args)]
pub struct Decoding {
    /// Whether pictures that a camera noted to be turned are turned upright: ignore or apply
    #[arg(long, value_name = "ignore|apply", value_parser = word::<Orientation>)]
    orientation: Option<Orientation>,
}

impl Decoding {
    /// The preprocessing `base` with what is said here.
    pub fn overrule(&self, base: Preprocessing) -> Preprocessing {
        Preprocessing { orientation: self.orientation.unwrap_or(base.orientation), ..base }
    }
}

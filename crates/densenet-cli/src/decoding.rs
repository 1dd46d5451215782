//! What the command line says of how a picture's file becomes pixels.

use clap::Args;
use densenet::data::{Grey16, Orientation, Preprocessing, Transparency};

use crate::word::word;

/// How a picture's file becomes pixels.
#[derive(Args)]
pub struct Decoding {
    /// Whether pictures that a camera noted to be turned are turned upright: ignore or apply
    #[arg(long, value_name = "ignore|apply", value_parser = word::<Orientation>)]
    orientation: Option<Orientation>,
    /// What becomes of transparency: drop, as torchvision's loader does, or white or black, on which the picture is laid
    #[arg(long, value_name = "drop|white|black", value_parser = word::<Transparency>)]
    transparency: Option<Transparency>,
    /// What becomes of 16-bit grey: high-byte, or clip, as PIL does, which makes white of all above 255
    #[arg(long, value_name = "high-byte|clip", value_parser = word::<Grey16>)]
    grey16: Option<Grey16>,
}

impl Decoding {
    /// The preprocessing `base` with what is said here.
    pub fn overrule(&self, base: Preprocessing) -> Preprocessing {
        Preprocessing {
            orientation: self.orientation.unwrap_or(base.orientation),
            transparency: self.transparency.unwrap_or(base.transparency),
            grey16: self.grey16.unwrap_or(base.grey16),
            ..base
        }
    }

    /// The options that say otherwise than `base`.
    pub fn changes(&self, base: &Preprocessing) -> [(&'static str, bool); 3] {
        let changed = self.overrule(base.clone());
        [
            ("--orientation", changed.orientation != base.orientation),
            ("--transparency", changed.transparency != base.transparency),
            ("--grey16", changed.grey16 != base.grey16),
        ]
    }
}

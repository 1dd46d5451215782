//! What the command line and recipes say about how a picture's file becomes pixels.

use clap::Args;
use densenet::data::{Grey16, Orientation, Preprocessing, Transparency};
use serde::{Deserialize, Serialize};

use crate::word::word;

/// How a picture's file becomes pixels, as far as it is given.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Picture files")]
#[serde(default, deny_unknown_fields)]
pub struct Decoding {
    /// Whether to turn pictures upright by the camera's EXIF orientation: ignore or apply
    #[arg(long, value_name = "ignore|apply", value_parser = word::<Orientation>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<Orientation>,
    /// What to do with transparency: drop it, as torchvision's loader does, or lay the picture on white or black
    #[arg(long, value_name = "drop|white|black", value_parser = word::<Transparency>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    transparency: Option<Transparency>,
    /// How 16-bit grey becomes 8-bit: high-byte, or clip, as PIL does, which turns everything above 255 white
    #[arg(long, value_name = "high-byte|clip", value_parser = word::<Grey16>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    grey16: Option<Grey16>,
}

impl Decoding {
    /// All that `preprocessing` says.
    pub fn of(preprocessing: &Preprocessing) -> Self {
        let Preprocessing { orientation, transparency, grey16, .. } = *preprocessing;
        Self { orientation: Some(orientation), transparency: Some(transparency), grey16: Some(grey16) }
    }

    /// The preprocessing `base` with what is said here.
    pub fn overrule(&self, base: Preprocessing) -> Preprocessing {
        Preprocessing {
            orientation: self.orientation.unwrap_or(base.orientation),
            transparency: self.transparency.unwrap_or(base.transparency),
            grey16: self.grey16.unwrap_or(base.grey16),
            ..base
        }
    }
}

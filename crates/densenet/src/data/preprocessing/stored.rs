//! The preprocessing as stored in a file: any field may be absent, and `resize` may be a number of pixels, as in files
//! from before the field `interpolation`.

use serde::Deserialize;

use crate::data::framing::{ChannelOrder, Grey16, Interpolation, Orientation, Resize, Transparency, UNIT};

/// The fields in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub size: usize,
    #[serde(default)]
    pub resize: StoredResize,
    pub crop_fraction: Option<f64>,
    #[serde(default)]
    pub interpolation: Interpolation,
    #[serde(default)]
    pub channel_order: ChannelOrder,
    #[serde(default = "unit")]
    pub value_range: [f32; 2],
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    #[serde(default)]
    pub orientation: Orientation,
    #[serde(default)]
    pub transparency: Transparency,
    #[serde(default)]
    pub grey16: Grey16,
}

fn unit() -> [f32; 2] {
    UNIT
}

/// A rule, or the length of the short side in pixels; neither means that the picture is resized whole.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(super) enum StoredResize {
    Rule(Resize),
    ShortSide(usize),
    #[default]
    Whole,
}

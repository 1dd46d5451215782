//! The choices that programs make of how a picture is turned, resized and laid out.

use serde::{Deserialize, Serialize};

/// The range of values of most networks.
pub(super) const UNIT: [f32; 2] = [0.0, 1.0];

/// Which of a picture's sides are resized to the length from which the input is cropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The short side; the long one keeps its proportion.
    Short,
    /// Both, whatever the picture's shape.
    Squash,
}

/// The filter that resizes, antialiased as PIL's of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The triangle filter, torchvision's default.
    #[default]
    Bilinear,
    /// Keys' cubic filter with a = -0.5, most of timm's networks'.
    Bicubic,
}

/// Order of a colour picture's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first, as PIL has it.
    #[default]
    Rgb,
    /// Blue first, as OpenCV and Caffe have it.
    Bgr,
}

/// What is done to a picture whose EXIF data note that it is turned or mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// It stays as it is stored, as torchvision's loader leaves it.
    #[default]
    Ignore,
    /// It is turned upright.
    Apply,
}

//! The choices that programs make of how a picture is decoded, turned, resized and laid out.

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

/// What becomes of a picture's transparency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transparency {
    /// It is dropped: a pixel has the colour that the file notes, however transparent it is, as PIL's `convert("RGB")`, and
    /// so torchvision's loader, leaves it.
    #[default]
    Drop,
    /// The picture is laid on white, as PIL's `alpha_composite` does it.
    White,
    /// The same on black.
    Black,
}

/// What becomes of grey of 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grey16 {
    /// The high byte is kept, so that the picture looks as it should.
    #[default]
    HighByte,
    /// Everything above 255 is cut to 255, as PIL's `convert("L")` and `convert("RGB")` do it to its modes `I` and `I;16`.
    Clip,
}

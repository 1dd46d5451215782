//! The ways in which programs differ in decoding, orienting, resizing and arranging pictures.

use serde::{Deserialize, Serialize};

/// The value range of most networks.
pub(super) const UNIT: [f32; 2] = [0.0, 1.0];

/// Which sides of a picture are resized to the length from which the input is cropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The short side; the aspect ratio is kept.
    Short,
    /// Both, whatever the picture's shape.
    Squash,
}

/// The resize filter, with antialiasing, as PIL's filter of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The triangle filter, torchvision's default.
    #[default]
    Bilinear,
    /// Keys' cubic filter with a = -0.5, used by most of timm's networks.
    Bicubic,
}

/// Order of the channels of a colour picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first, as in PIL.
    #[default]
    Rgb,
    /// Blue first, as in OpenCV and Caffe.
    Bgr,
}

/// How a picture is handled whose EXIF data say that it is rotated or mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// It stays as stored, as torchvision's loader leaves it.
    #[default]
    Ignore,
    /// It is turned upright.
    Apply,
}

/// How transparency is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transparency {
    /// It is dropped: a pixel keeps the colour stored in the file, however transparent it is, as in PIL's
    /// `convert("RGB")` and therefore torchvision's loader.
    #[default]
    Drop,
    /// The picture is composited onto white, as by PIL's `alpha_composite`.
    White,
    /// The picture is composited onto black.
    Black,
}

/// How 16-bit grey is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grey16 {
    /// The high byte is kept, so that the picture looks as it should.
    #[default]
    HighByte,
    /// Everything above 255 is clipped to 255, as PIL's `convert("L")` and `convert("RGB")` do with its modes `I` and
    /// `I;16`.
    Clip,
}

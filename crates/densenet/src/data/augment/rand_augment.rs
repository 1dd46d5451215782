//! RandAugment (Cubuk et al. 2020).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{colour, geometry, tone};
use crate::data::Picture;

/// Some operations in sequence, each drawn from the fourteen of torchvision's `RandAugment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Number of operations, from 0 to 16; none by default.
    pub ops: usize,
    /// Their strength, from 0 to 30; 9 by default, as in torchvision.
    pub magnitude: usize,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { ops: 0, magnitude: 9 }
    }
}

impl RandAugment {
    /// Changes `picture` with random values from `rng`.
    pub(super) fn apply(&self, picture: &mut Picture<'_>, rng: &mut ChaCha8Rng) {
        for _ in 0..self.ops {
            let op = Op::ALL[rng.random_range(0..Op::ALL.len())];
            op.apply(picture, self.magnitude, if rng.random_bool(0.5) { 1.0 } else { -1.0 });
        }
    }
}

/// An operation, by torchvision's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Op {
    pub(super) const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Changes `picture` with a `magnitude` from 0 to 30; `sign`, 1 or -1, is the direction of an operation that has
    /// two.
    pub(super) fn apply(self, picture: &mut Picture<'_>, magnitude: usize, sign: f64) {
        let share = magnitude as f64 / 30.0;
        let farthest = |side: usize| 150.0 / 331.0 * side as f64;
        let factor = 1.0 + sign * 0.9 * share;
        match self {
            Self::Identity => {}
            Self::ShearX => geometry::shear_x(picture, sign * 0.3 * share),
            Self::ShearY => geometry::shear_y(picture, sign * 0.3 * share),
            Self::TranslateX => geometry::translate_x(picture, sign * farthest(picture.width()) * share),
            Self::TranslateY => geometry::translate_y(picture, sign * farthest(picture.height()) * share),
            Self::Rotate => geometry::rotate(picture, sign * 30.0 * share),
            Self::Brightness => colour::brightness(picture, factor),
            Self::Color => colour::saturation(picture, factor),
            Self::Contrast => colour::contrast(picture, factor),
            Self::Sharpness => colour::sharpness(picture, factor),
            Self::Posterize => tone::posterize(picture, 8 - (4.0 * share).round() as u32),
            Self::Solarize => tone::solarize(picture, 255.0 * (1.0 - share)),
            Self::AutoContrast => tone::auto_contrast(picture),
            Self::Equalize => tone::equalize(picture),
        }
    }
}

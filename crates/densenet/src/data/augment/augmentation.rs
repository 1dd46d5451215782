//! All random changes to training pictures.

use std::fmt::{self, Formatter};

use fast_image_resize::Resizer;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Augment, ColorJitter, RandAugment, crop, erasing};
use crate::data::{Picture, Preprocessing};
use crate::{Error, Result};

/// The random changes to training pictures, in the order of the fields. The changes to a picture depend only on the
/// seed and the picture's index.
///
/// If a file leaves out a field, the field has its default, which changes nothing. A word of [`Augment`] in place of
/// the fields means that word with the other defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct Augmentation {
    /// How pictures are cropped and mirrored.
    pub base: Augment,
    /// Pixels of black around a picture before [`Augment::CropFlip`] crops it, at most 1024; 4 by default.
    pub crop_padding: usize,
    /// The smallest share of a picture's area that [`Augment::ResizedCrop`] crops, above 0 and at most 1; 0.08 by
    /// default.
    pub crop_scale: f64,
    /// Random changes of colour.
    pub color_jitter: ColorJitter,
    /// Random operations from a list.
    pub rand_augment: RandAugment,
    /// The probability, from 0 to 1, that a rectangle of the normalised picture is set to 0, as torchvision's
    /// `RandomErasing` does: 2 to 33 % of the area, with an aspect ratio from 3:10 to 10:3.
    pub random_erasing: f64,
    /// Mixup's alpha (Zhang et al. 2018), 0 or from 0.01 to 100; see [`mix`](Self::mix).
    pub mixup: f64,
    /// CutMix's alpha (Yun et al. 2019), 0 or from 0.01 to 100; see [`mix`](Self::mix).
    pub cutmix: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            base: Augment::None,
            crop_padding: 4,
            crop_scale: 0.08,
            color_jitter: ColorJitter::default(),
            rand_augment: RandAugment::default(),
            random_erasing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
        }
    }
}

impl From<Augment> for Augmentation {
    fn from(base: Augment) -> Self {
        Self { base, ..Self::default() }
    }
}

impl Augmentation {
    /// Checks values from a file or from the command line.
    ///
    /// # Errors
    /// Names the first wrong value, and what would be right.
    pub fn validate(&self) -> Result<()> {
        let ColorJitter { brightness, contrast, saturation, hue } = self.color_jitter;
        let RandAugment { ops, magnitude } = self.rand_augment;
        check("crop_padding", self.crop_padding as f64, 0.0..=1024.0, "from 0 to 1024 pixels")?;
        check("crop_scale", self.crop_scale, f64::MIN_POSITIVE..=1.0, "above 0 and at most 1")?;
        for (name, value) in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)] {
            check(&format!("color_jitter.{name}"), value, 0.0..=f64::MAX, "0 or above")?;
        }
        check("color_jitter.hue", hue, 0.0..=0.5, "from 0 to 0.5 turns")?;
        check("rand_augment.ops", ops as f64, 0.0..=16.0, "from 0 to 16")?;
        check("rand_augment.magnitude", magnitude as f64, 0.0..=30.0, "from 0 to 30")?;
        check("random_erasing", self.random_erasing, 0.0..=1.0, "from 0 to 1")?;
        for (name, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)].into_iter().filter(|(_, a)| *a != 0.0) {
            check(name, alpha, 0.01..=100.0, "0 or from 0.01 to 100")?;
        }
        Ok(())
    }

    /// Writes the input that `preprocessing` makes from `picture`, changed at random by `rng`, into `out`: `[channels,
    /// size, size]`.
    pub(in crate::data) fn fill(
        &self,
        picture: Picture<'_>,
        preprocessing: &Preprocessing,
        rng: &mut ChaCha8Rng,
        resizer: &mut Resizer,
        out: &mut [f32],
    ) -> Result<()> {
        let picture = preprocessing.converted(picture);
        let mut framed = match self.base {
            Augment::None | Augment::Flip => preprocessing.frame(picture, resizer)?,
            Augment::CropFlip => preprocessing.frame(crop::shifted(picture, self.crop_padding, rng), resizer)?,
            Augment::ResizedCrop => {
                let (size, interpolation) = (preprocessing.size, preprocessing.interpolation);
                crop::part(picture, self.crop_scale, rng).resize(size, size, interpolation, resizer)?
            }
        };
        let flip = self.base != Augment::None && rng.random_bool(0.5);
        self.color_jitter.apply(&mut framed, rng);
        self.rand_augment.apply(&mut framed, rng);
        preprocessing.normalise(&framed, flip, out);
        if self.random_erasing > 0.0 && rng.random_bool(self.random_erasing) {
            erasing::erase(out, preprocessing.size, rng);
        }
        Ok(())
    }
}

fn check(name: &str, value: f64, range: std::ops::RangeInclusive<f64>, right: &str) -> Result<()> {
    let message = || Error::Settings(format!("augmentation: {name} is {value}; it must be {right}"));
    if range.contains(&value) { Ok(()) } else { Err(message()) }
}

impl Serialize for Augmentation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Augmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrFields)
    }
}

/// Reads a word of [`Augment`], which is all that earlier versions wrote, or the fields.
struct WordOrFields;

impl<'de> Visitor<'de> for WordOrFields {
    type Value = Augmentation;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a word (none, flip, crop-flip or resized-crop) or the fields of an augmentation")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Augmentation, E> {
        Augment::deserialize(StrDeserializer::new(word)).map(Augmentation::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Augmentation, A::Error> {
        Augmentation::deserialize(MapAccessDeserializer::new(map))
    }
}

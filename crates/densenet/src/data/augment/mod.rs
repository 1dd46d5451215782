//! Random changes to training pictures, drawn by a counter-based generator so that threads and order do not matter.

mod augmentation;
mod colour;
mod crop;
mod erasing;
mod geometry;
mod jitter;
mod mixing;
mod rand_augment;
mod tone;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use augmentation::Augmentation;
pub use jitter::ColorJitter;
pub use rand_augment::RandAugment;

/// How a training picture is cropped and mirrored at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Not at all.
    #[default]
    None,
    /// Mirrored left to right, half the time.
    Flip,
    /// The CIFAR standard (section 4.1 of the paper): a crop of the picture's own size from the picture with
    /// [`crop_padding`](Augmentation::crop_padding) pixels around it, then mirrored half the time. The margin is black
    /// before normalisation, as with torchvision's `RandomCrop(32, padding=4)`, and the crop precedes any resizing.
    CropFlip,
    /// The ImageNet standard, torchvision's `RandomResizedCrop`: a part with [`crop_scale`](Augmentation::crop_scale)
    /// to all of the area and an aspect ratio from 3:4 to 4:3, resized to the input's size, then mirrored half the
    /// time.
    ResizedCrop,
}

/// The random numbers of stream `index`, e.g. a picture's, under `seed`.
pub(super) fn draws(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

#[cfg(test)]
mod tests;

//! Random changes to a training picture, drawn from a counter so that no thread or order matters.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Picture;

/// What is done at random to a training picture. Each picture's draws depend on the seed and its index alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Nothing.
    None,
    /// Mirrored left to right, half the time.
    Flip,
    /// The CIFAR standard (section 4.1 of the paper): a crop of the picture's own size out of the picture with 4
    /// pixels around it, then mirrored half the time. The margin is black before the normalisation, as torchvision's
    /// `RandomCrop(32, padding=4)` makes it, and the crop precedes any resizing.
    CropFlip,
    /// The ImageNet standard, torchvision's `RandomResizedCrop`: a part of 8 to 100 % of the area and of a shape from
    /// 3:4 to 4:3, resized to the input's size, then mirrored half the time.
    ResizedCrop,
}

/// The random numbers of picture `index` under `seed`.
pub(super) fn draws(seed: u64, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index as u64);
    rng
}

/// True half the time.
pub(super) fn coin(rng: &mut ChaCha8Rng) -> bool {
    rng.random_bool(0.5)
}

/// Black pixels around a picture before [`Augment::CropFlip`] crops it.
const MARGIN: i32 = 4;

/// The picture moved by up to [`MARGIN`] pixels each way, black where it has moved from.
pub(super) fn shifted<'a>(picture: Picture<'a>, rng: &mut ChaCha8Rng) -> Picture<'a> {
    let (height, width) = (picture.height(), picture.width());
    let (top, left) = (rng.random_range(-MARGIN..=MARGIN), rng.random_range(-MARGIN..=MARGIN));
    picture.crop(top as isize, left as isize, height, width)
}

/// A random part, as `torchvision.transforms.RandomResizedCrop.get_params` draws it.
pub(super) fn part<'a>(picture: Picture<'a>, rng: &mut ChaCha8Rng) -> Picture<'a> {
    let (height, width) = (picture.height(), picture.width());
    for _ in 0..10 {
        let area = (height * width) as f64 * rng.random_range(0.08..=1.0);
        let shape = rng.random_range((3.0f64 / 4.0).ln()..=(4.0f64 / 3.0).ln()).exp();
        let (h, w) = ((area / shape).sqrt().round() as usize, (area * shape).sqrt().round() as usize);
        if (1..=height).contains(&h) && (1..=width).contains(&w) {
            let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
            return picture.crop(top as isize, left as isize, h, w);
        }
    }
    let h = height.min((width as f64 * 4.0 / 3.0).round() as usize);
    let w = width.min((height as f64 * 4.0 / 3.0).round() as usize);
    picture.crop(((height - h) / 2) as isize, ((width - w) / 2) as isize, h, w)
}

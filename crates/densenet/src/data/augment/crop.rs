//! Random parts of a picture.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::Picture;

/// The picture shifted by up to `padding` pixels each way; the exposed margin is black.
pub(super) fn shifted<'a>(picture: Picture<'a>, padding: usize, rng: &mut ChaCha8Rng) -> Picture<'a> {
    let (height, width) = (picture.height(), picture.width());
    let padding = padding as i32;
    let (top, left) = (rng.random_range(-padding..=padding), rng.random_range(-padding..=padding));
    picture.crop(top as isize, left as isize, height, width)
}

/// A random part with `scale` of the area or more, as `torchvision.transforms.RandomResizedCrop.get_params` draws it.
pub(super) fn part<'a>(picture: Picture<'a>, scale: f64, rng: &mut ChaCha8Rng) -> Picture<'a> {
    let (height, width) = (picture.height(), picture.width());
    for _ in 0..10 {
        let area = (height * width) as f64 * rng.random_range(scale..=1.0);
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

//! Changes that act on each value by itself: PIL's `ImageOps.posterize`, `solarize`, `autocontrast` and `equalize`.

use std::array;

use crate::data::Picture;

/// Keeps only the `bits` highest bits of each value, from 0 to 8.
pub(super) fn posterize(picture: &mut Picture<'_>, bits: u32) {
    let kept = !(0xff_u32 >> bits) as u8;
    picture.pixels_mut().iter_mut().for_each(|value| *value &= kept);
}

/// Inverts values from `threshold` up: white becomes black.
pub(super) fn solarize(picture: &mut Picture<'_>, threshold: f64) {
    let turned = picture.pixels_mut().iter_mut().filter(|value| f64::from(**value) >= threshold);
    turned.for_each(|value| *value = 255 - *value);
}

/// Makes the darkest value of each channel black and its brightest white.
pub(super) fn auto_contrast(picture: &mut Picture<'_>) {
    look_up(picture, |histogram| {
        let found = |count: &usize| *count > 0;
        let darkest = histogram.iter().position(found).unwrap_or(0);
        let brightest = histogram.iter().rposition(found).unwrap_or(0);
        let scale = 255.0 / (brightest - darkest) as f64;
        let offset = -(darkest as f64) * scale;
        (brightest > darkest).then(|| array::from_fn(|value| (value as f64 * scale + offset) as u8))
    });
}

/// Makes the values of each channel about equally frequent.
pub(super) fn equalize(picture: &mut Picture<'_>) {
    look_up(picture, |histogram| {
        let brightest = histogram.iter().rfind(|count| **count > 0).unwrap_or(&0);
        let step = (histogram.iter().sum::<usize>() - brightest) / 255;
        let mut below = step / 2;
        let mut next = |value: usize| {
            let level = below / step;
            below += histogram[value];
            level.min(255) as u8
        };
        (step > 0).then(|| array::from_fn(&mut next))
    });
}

/// Replaces each value of a channel using the table that `table` makes from the channel's histogram, if it returns one.
fn look_up(picture: &mut Picture<'_>, table: impl Fn(&[usize; 256]) -> Option<[u8; 256]>) {
    let channels = picture.channels();
    for channel in 0..channels {
        let mut histogram = [0; 256];
        picture.pixels().iter().skip(channel).step_by(channels).for_each(|&value| histogram[usize::from(value)] += 1);
        if let Some(table) = table(&histogram) {
            let values = picture.pixels_mut().iter_mut().skip(channel).step_by(channels);
            values.for_each(|value| *value = table[usize::from(*value)]);
        }
    }
}

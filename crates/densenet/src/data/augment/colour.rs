//! Brightness, contrast, saturation, sharpness and hue, with exactly the pixels of PIL's `ImageEnhance` and
//! torchvision's `adjust_hue` on a PIL picture.

use crate::data::Picture;
use crate::data::picture::luma;

/// Black at 0, the picture at 1, brighter above.
pub(super) fn brightness(picture: &mut Picture<'_>, factor: f64) {
    blend(picture, factor, |_| 0);
}

/// Grey of the mean luma at 0, the picture at 1, more contrast above.
pub(super) fn contrast(picture: &mut Picture<'_>, factor: f64) {
    let sum: u64 = match picture.channels() {
        1 => picture.pixels().iter().map(|&grey| u64::from(grey)).sum(),
        _ => picture.pixels().chunks_exact(3).map(|p| u64::from(luma(p[0], p[1], p[2]))).sum(),
    };
    let mean = sum as f64 / (picture.height() * picture.width()) as f64;
    blend(picture, factor, |_| (mean + 0.5) as u8);
}

/// Grey at 0, the picture at 1, more colourful above; grey pictures stay the same.
pub(super) fn saturation(picture: &mut Picture<'_>, factor: f64) {
    if picture.channels() == 3 {
        let greys: Vec<u8> = picture.pixels().chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect();
        blend(picture, factor, |i| greys[i / 3]);
    }
}

/// Smoothed at 0, the picture at 1, sharper above.
pub(super) fn sharpness(picture: &mut Picture<'_>, factor: f64) {
    let smooth = smoothed(picture);
    blend(picture, factor, |i| smooth[i]);
}

/// Each value on the line from `other`, at a `factor` of 0, through its own, at 1; clipped to an integer from 0 to 255.
fn blend(picture: &mut Picture<'_>, factor: f64, other: impl Fn(usize) -> u8) {
    let factor = factor as f32;
    for (i, value) in picture.pixels_mut().iter_mut().enumerate() {
        let from = other(i);
        *value = (f32::from(from) + factor * f32::from(i16::from(*value) - i16::from(from))) as u8;
    }
}

/// The mean over each pixel's neighbours and itself, with weight 5; edge pixels stay the same.
fn smoothed(picture: &Picture<'_>) -> Vec<u8> {
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let (pixels, row) = (picture.pixels(), width * channels);
    let mut smooth = pixels.to_vec();
    for y in 1..height.saturating_sub(1) {
        for i in y * row + channels..(y + 1) * row - channels {
            let triple = |i: usize| [i - channels, i, i + channels].map(|i| u32::from(pixels[i])).iter().sum::<u32>();
            let sum = triple(i - row) + triple(i) + triple(i + row) + 4 * u32::from(pixels[i]);
            smooth[i] = ((2 * sum + 13) / 26) as u8;
        }
    }
    smooth
}

/// Hues rotated by `turns`, from -0.5 to 0.5; grey pictures stay the same.
pub(super) fn hue(picture: &mut Picture<'_>, turns: f64) {
    if picture.channels() == 3 {
        let turn = (turns * 255.0) as i32 as u8;
        for pixel in picture.pixels_mut().as_chunks_mut::<3>().0 {
            let [hue, saturation, value] = hsv(*pixel);
            *pixel = rgb([hue.wrapping_add(turn), saturation, value]);
        }
    }
}

/// Hue, saturation and value, 255 being a full turn, in the single and double precision in which PIL rounds them.
fn hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [rc, gc, bc] = [r, g, b].map(|colour| f32::from(most - colour) / range);
    let sixths = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(most);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// Red, green and blue from the result of [`hsv`].
fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let (sector, rest) = (sixths.floor(), (sixths - sixths.floor()) as f32);
    let part = (f64::from(saturation) / 255.0) as f32;
    let without = |share: f64| (f64::from(value) * (1.0 - share)).round() as u8;
    let p = without(part.into());
    let q = without((part * rest).into());
    let t = without(f64::from(part) * (1.0 - f64::from(rest)));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

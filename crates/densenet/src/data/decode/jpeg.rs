//! JPEG, decoded to exactly the pixels of libjpeg-turbo, and therefore of PIL.
//!
//! The decoder is a port of libjpeg-turbo; every other available one rounds differently, up to 6 levels away from PIL.
//! For some samplings it cannot decode a picture, panics, or differs from the original; [`planes`] assembles these
//! from the components that it decodes one by one.

use std::path::Path;

use libjpeg_turbo_rs::{ColorSpace, ComponentInfo, Decoder, FrameHeader, JpegError, PixelFormat, ScalingFactor};

use super::inks::rgb_of_inks;
use super::limit::check_pixels;
use super::pixels::Pixels;
use super::planes::{self, rgb_of_luma};
use crate::data::beside::Beside;
use crate::{Error, Result};

/// Bytes that the coefficients of a progressive JPEG may take for each pixel that may be decoded: twice the size of
/// three full-size components.
const COEFFICIENT_BYTES: usize = 12;

pub(super) fn decode(bytes: &[u8], path: &Path, max_pixels: usize) -> Result<Pixels> {
    let unreadable = |error: JpegError| Error::format(path, format!("not a readable JPEG: {error}"));
    let mut decoder = Decoder::new(bytes).map_err(unreadable)?;
    if decoder.header().width() * decoder.header().height() == 0 {
        return Err(Error::format(path, "not a readable JPEG: it has no pixels"));
    }
    let orientation = decoder.exif_orientation().filter(|orientation| (1..=8).contains(orientation)).unwrap_or(1);
    let fraction = fraction(decoder.header(), max_pixels, path)?;
    decoder.set_scale(ScalingFactor::try_new(1, fraction).map_err(unreadable)?);
    let format = match decoder.header().components.len() {
        1 => PixelFormat::Grayscale,
        3 => PixelFormat::Rgb,
        4 => PixelFormat::Cmyk,
        other => {
            return Err(Error::format(path, format!("a JPEG with {other} components; only 1, 3 and 4 are supported")));
        }
    };
    let (height, width, data) = if is_by_planes(decoder.header()) {
        let (header, colours) = (decoder.header().clone(), decoder.jpeg_color_space());
        let data = planes::interleaved(&header, &decoder.decode_raw().map_err(unreadable)?).ok_or_else(|| {
            Error::format(path, "not a readable JPEG: its sampling factors are not whole multiples of each other")
        })?;
        (header.height(), header.width(), without_luma(data, colours))
    } else {
        decoder.set_output_format(format);
        let decoded = decoder.decode_image().map_err(unreadable)?;
        (decoded.height, decoded.width, decoded.data)
    };
    let (channels, data) = match format {
        PixelFormat::Cmyk => (3, rgb(&data)),
        _ => (format.bytes_per_pixel(), data),
    };
    Ok(Pixels { height, width, channels, data, beside: Beside::Nothing, orientation })
}

/// Whether the decoder cannot assemble the components: four that are not sampled alike, or luma that is sampled more
/// coarsely than chroma.
fn is_by_planes(header: &FrameHeader) -> bool {
    let factors = |c: &ComponentInfo| (c.horizontal_sampling, c.vertical_sampling);
    let [first, others @ ..] = &header.components[..] else { return false };
    let (first, mut others) = (factors(first), others.iter().map(factors));
    match header.components.len() {
        4 => others.any(|other| other != first),
        _ => others.any(|other| other.0 > first.0 || other.1 > first.1),
    }
}

/// Interleaved red, green and blue, or inks, of `data` in the file's `colours`.
fn without_luma(mut data: Vec<u8>, colours: ColorSpace) -> Vec<u8> {
    match colours {
        ColorSpace::YCbCr => data.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = rgb_of_luma(*pixel)),
        ColorSpace::Ycck => data.as_chunks_mut::<4>().0.iter_mut().for_each(|[luma, blue, red, _]| {
            [*luma, *blue, *red] = rgb_of_luma([*luma, *blue, *red]).map(|colour| 255 - colour);
        }),
        _ => {}
    }
    data
}

/// The colours of inks. Values in a JPEG are the complement of PIL's, whoever wrote the file.
fn rgb(inks: &[u8]) -> Vec<u8> {
    inks.as_chunks::<4>().0.iter().flat_map(|pixel| rgb_of_inks(pixel.map(|sample| 255 - sample))).collect()
}

/// The number, 1, 2, 4 or 8, by which both sides are divided so that at most `max_pixels` are decoded.
fn fraction(header: &FrameHeader, max_pixels: usize, path: &Path) -> Result<u32> {
    let (width, height) = (header.width(), header.height());
    let fits = |fraction: &u32| {
        let side = |pixels: usize| pixels.div_ceil(*fraction as usize);
        side(width) * side(height) <= max_pixels
    };
    let whole_alone = header.is_lossless || header.precision != 8 || is_by_planes(header);
    let kept = if header.is_progressive { 2 * samples(header) } else { 0 };
    if whole_alone || kept > COEFFICIENT_BYTES.saturating_mul(max_pixels) {
        check_pixels(width, height, max_pixels, path)?;
        return Ok(1);
    }
    match [1, 2, 4, 8].iter().find(|&fraction| fits(fraction)) {
        Some(&fraction) => Ok(fraction),
        None => check_pixels(width, height, max_pixels, path).map(|()| 1),
    }
}

/// Number of samples in all components.
fn samples(header: &FrameHeader) -> usize {
    let factors = |c: &ComponentInfo| (usize::from(c.horizontal_sampling), usize::from(c.vertical_sampling));
    let most_h = header.components.iter().map(|c| factors(c).0).max().unwrap_or(1);
    let most_v = header.components.iter().map(|c| factors(c).1).max().unwrap_or(1);
    let blocks = header.components.iter().map(|c| factors(c).0 * factors(c).1).sum::<usize>();
    header.width().div_ceil(most_h) * header.height().div_ceil(most_v) * blocks
}

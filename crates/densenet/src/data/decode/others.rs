//! Formats other than JPEG, as the crate `image` decodes them.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::limit::check_pixels;
use super::pixels::Pixels;
use crate::data::beside::Beside;
use crate::{Error, Result};

/// Bytes that a decoder may take for each pixel that may be decoded, if that is more than its own limit: four 16-bit
/// samples, once read and once converted.
const BYTES: u64 = 16;

pub(super) fn decode(bytes: &[u8], path: &Path, max_pixels: usize) -> Result<Pixels> {
    let unreadable = |error: image::ImageError| Error::format(path, format!("not a readable picture: {error}"));
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::io(path))?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
        return Err(Error::format(path, "not a picture; JPEG, PNG, BMP, GIF, WebP, TIFF, PNM and ICO can be read"));
    };
    let mut limits = Limits::default();
    limits.max_alloc = limits.max_alloc.max(Some(BYTES.saturating_mul(max_pixels as u64)));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_pixels(width, height, max_pixels, path)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    // PIL applies the orientation of a TIFF when it opens it, and of no other format.
    let turned = format == ImageFormat::Tiff;
    if turned {
        decoded.apply_orientation(orientation);
    }
    let (height, width) = (decoded.height() as usize, decoded.width() as usize);
    let (channels, data, beside) = parted(decoded, path)?;
    let orientation = if turned { 1 } else { orientation.to_exif() };
    Ok(Pixels { height, width, channels, data, beside, orientation })
}

/// Channels (1 or 3) and interleaved 8-bit pixels of a decoded picture, and the data beside them.
fn parted(decoded: DynamicImage, path: &Path) -> Result<(usize, Vec<u8>, Beside<'static>)> {
    let high = |samples: Vec<u16>| samples.into_iter().map(|s| (s >> 8) as u8).collect();
    let colour: ColorType = decoded.color();
    let (channels, alpha) = (if colour.has_color() { 3 } else { 1 }, colour.has_alpha());
    let samples: Vec<u8> = match decoded {
        DynamicImage::ImageLuma8(p) => p.into_raw(),
        DynamicImage::ImageLumaA8(p) => p.into_raw(),
        DynamicImage::ImageRgb8(p) => p.into_raw(),
        DynamicImage::ImageRgba8(p) => p.into_raw(),
        DynamicImage::ImageLuma16(p) => {
            let samples = p.into_raw();
            let low = samples.iter().map(|&s| s as u8).collect();
            return Ok((channels, high(samples), Beside::LowBytes(low)));
        }
        DynamicImage::ImageLumaA16(p) => high(p.into_raw()),
        DynamicImage::ImageRgb16(p) => high(p.into_raw()),
        DynamicImage::ImageRgba16(p) => high(p.into_raw()),
        _ => {
            let reason = format!("a picture with {colour:?} samples; only 8 and 16 bits are supported");
            return Err(Error::format(path, reason));
        }
    };
    if !alpha {
        return Ok((channels, samples, Beside::Nothing));
    }
    let pixels = samples.chunks_exact(channels + 1);
    let opacities: Vec<u8> = pixels.clone().map(|pixel| pixel[channels]).collect();
    Ok((channels, pixels.flat_map(|pixel| &pixel[..channels]).copied().collect(), Beside::Alpha(opacities.into())))
}

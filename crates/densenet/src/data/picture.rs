//! A decoded picture of 8-bit pixels, and the geometry that is done on it before it becomes numbers.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};
use libjpeg_turbo_rs::{Decoder, PixelFormat};

use crate::{Error, Result};

/// Pixels beyond which a picture is refused, before it is decoded and after it is resized: 100 million.
pub const MAX_PIXELS: usize = 100_000_000;

/// Bytes beyond which a picture's file is not read: more than [`MAX_PIXELS`] take, hardly compressed.
const MAX_BYTES: u64 = 1 << 29;

/// Suffixes of the files in a folder that are taken for pictures.
pub const SUFFIXES: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "gif", "webp"];

/// Whether a file's suffix, in capitals or not, is one of [`SUFFIXES`].
pub fn has_picture_suffix(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known)))
}

/// A picture of 8-bit pixels in rows, its channels interleaved: `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    height: usize,
    width: usize,
    channels: usize,
    pixels: Cow<'a, [u8]>,
}

impl<'a> Picture<'a> {
    /// A picture of `[height, width, channels]` pixels, row-major; one channel is grey, three are red, green and blue.
    ///
    /// # Errors
    /// An extent of 0, channels other than 1 or 3, or pixels of another number than the extents say.
    pub fn new(height: usize, width: usize, channels: usize, pixels: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let pixels = pixels.into();
        let wrong = |reason| Err(Error::PictureSize { height, width, reason });
        if height == 0 || width == 0 {
            return wrong("a picture has at least one pixel".into());
        }
        if channels != 1 && channels != 3 {
            return wrong(format!("{channels} channels; a picture has 1 (grey) or 3 (red, green, blue)"));
        }
        if height.checked_mul(width).and_then(|n| n.checked_mul(channels)) != Some(pixels.len()) {
            return wrong(format!("{} bytes of pixels; {channels} channels need one byte each", pixels.len()));
        }
        Ok(Self { height, width, channels, pixels })
    }

    /// Reads and decodes a JPEG, PNG, BMP, GIF (its first frame) or WebP; the content tells which, not the name.
    ///
    /// A JPEG gives the very pixels that libjpeg-turbo, and so PIL, gives. As torchvision's loader does, transparency is
    /// dropped and an orientation noted in EXIF is not applied. Of 16-bit samples the high byte is kept.
    ///
    /// # Errors
    /// A file that cannot be read, is no picture, or has more than [`MAX_PIXELS`] (found before decoding).
    pub fn open(path: impl AsRef<Path>) -> Result<Picture<'static>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::format(path, format!("a picture's file of at most {MAX_BYTES} bytes is read")));
        }
        Picture::decode(&bytes, path)
    }

    /// Decodes a picture from a file's bytes, as [`Picture::open`] does; `path` is what errors call it.
    ///
    /// # Errors
    /// The same as [`Picture::open`].
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Picture<'static>> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) { decode_jpeg(bytes, path) } else { decode_other(bytes, path) }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[height, width, channels]`, row-major.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The same picture, borrowed.
    pub(crate) fn view(&self) -> Picture<'_> {
        Picture { pixels: Cow::Borrowed(&self.pixels), ..*self }
    }

    /// With one channel (luma as PIL's `convert('L')`: ITU-R 601 in 16-bit fixed point) or three (grey repeated).
    pub(crate) fn convert(self, channels: usize) -> Self {
        let pixels: Vec<u8> = match (self.channels, channels) {
            (3, 1) => self.pixels.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect(),
            (1, 3) => self.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => return self,
        };
        Self { channels, pixels: pixels.into(), ..self }
    }

    /// Resized by PIL's antialiased bilinear filter on 8-bit pixels.
    ///
    /// One axis at a time, width before height, since PIL rounds to 8 bits between the two in that order.
    ///
    /// # Errors
    /// A picture so long and thin that it would exceed [`MAX_PIXELS`] on the way.
    pub(crate) fn resize(self, height: usize, width: usize, resizer: &mut Resizer) -> Result<Self> {
        let largest = width.saturating_mul(self.height.max(height));
        if largest > MAX_PIXELS {
            let reason = format!("resized to {height}x{width} it takes {largest} pixels, above {MAX_PIXELS}");
            return Err(Error::PictureSize { height: self.height, width: self.width, reason });
        }
        let rows = self.height;
        Ok(self.resize_axis(rows, width, resizer).resize_axis(height, width, resizer))
    }

    fn resize_axis(self, height: usize, width: usize, resizer: &mut Resizer) -> Self {
        if (height, width) == (self.height, self.width) {
            return self;
        }
        let pixels = match self.channels {
            1 => self.resize_pixels::<U8>(height, width, resizer),
            _ => self.resize_pixels::<U8x3>(height, width, resizer),
        };
        Self { height, width, channels: self.channels, pixels: pixels.into() }
    }

    /// `[height, width, channels]`, resized, of pixels whose type is `P`.
    ///
    /// The type is known here since the resizer, when it finds the type itself, is compiled for 13 of them: half of the time
    /// that this crate took to build.
    fn resize_pixels<P: PixelTrait>(&self, height: usize, width: usize, resizer: &mut Resizer) -> Vec<u8> {
        let mut pixels = vec![0; height * width * self.channels];
        let source = TypedImageRef::<P>::from_buffer(self.width as u32, self.height as u32, &self.pixels)
            .expect("the constructor checked the number of pixels");
        let mut target = TypedImage::<P>::from_buffer(width as u32, height as u32, &mut pixels)
            .expect("as many pixels as the extents say");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        resizer.resize_typed(&source, &mut target, &options).expect("the whole source is resized");
        pixels
    }

    /// The part of `height` rows from `top` and `width` columns from `left`; what lies outside the picture is black.
    pub(crate) fn crop(self, top: isize, left: isize, height: usize, width: usize) -> Self {
        if (top, left, height, width) == (0, 0, self.height, self.width) {
            return self;
        }
        let mut pixels = vec![0; height * width * self.channels];
        let (rows, columns) = (overlap(top, height, self.height), overlap(left, width, self.width));
        let bytes = columns.len() * self.channels;
        for y in rows.filter(|_| bytes > 0) {
            let (from_y, from_x) = (y.wrapping_add_signed(top), columns.start.wrapping_add_signed(left));
            let from = (from_y * self.width + from_x) * self.channels;
            let into = (y * width + columns.start) * self.channels;
            pixels[into..into + bytes].copy_from_slice(&self.pixels[from..from + bytes]);
        }
        Self { height, width, channels: self.channels, pixels: pixels.into() }
    }
}

/// Which of `0..length`, moved by `offset`, lie in `0..extent`.
fn overlap(offset: isize, length: usize, extent: usize) -> std::ops::Range<usize> {
    let start = (-offset).clamp(0, length as isize) as usize;
    let end = (extent as isize - offset).clamp(start as isize, length as isize) as usize;
    start..end
}

fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16) as u8
}

/// Decoded by a port of libjpeg-turbo: every other decoder at hand rounds otherwise, up to 6 levels away from PIL.
///
/// It panics on some damaged CMYK files; such a file is unreadable like any other.
fn decode_jpeg(bytes: &[u8], path: &Path) -> Result<Picture<'static>> {
    std::panic::catch_unwind(|| read_jpeg(bytes, path))
        .unwrap_or_else(|_| Err(Error::format(path, "not a readable JPEG: the decoder gave up on it")))
}

fn read_jpeg(bytes: &[u8], path: &Path) -> Result<Picture<'static>> {
    let unreadable = |e: libjpeg_turbo_rs::JpegError| Error::format(path, format!("not a readable JPEG: {e}"));
    let mut decoder = Decoder::new(bytes).map_err(unreadable)?;
    let header = decoder.header();
    check_pixels(u32::from(header.width), u32::from(header.height), path)?;
    let channels = if header.components.len() == 1 { 1 } else { 3 };
    decoder.set_output_format(if channels == 1 { PixelFormat::Grayscale } else { PixelFormat::Rgb });
    let decoded = decoder.decode_image().map_err(unreadable)?;
    Picture::new(decoded.height, decoded.width, channels, decoded.data)
}

fn decode_other(bytes: &[u8], path: &Path) -> Result<Picture<'static>> {
    let unreadable = |e: image::ImageError| Error::format(path, format!("not a readable picture: {e}"));
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::io(path))?;
    if reader.format().is_none() {
        return Err(Error::format(path, "not a picture; JPEG, PNG, BMP, GIF and WebP are read"));
    }
    let decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height, path)?;
    let (channels, pixels) = without_alpha(DynamicImage::from_decoder(decoder).map_err(unreadable)?);
    Picture::new(height as usize, width as usize, channels, pixels)
}

fn check_pixels(width: u32, height: u32, path: &Path) -> Result<()> {
    let count = u64::from(width) * u64::from(height);
    if count <= MAX_PIXELS as u64 {
        return Ok(());
    }
    Err(Error::format(path, format!("{width}x{height} is {count} pixels; at most {MAX_PIXELS} are decoded")))
}

/// Channels (1 or 3) and interleaved 8-bit pixels of a decoded picture.
fn without_alpha(decoded: DynamicImage) -> (usize, Vec<u8>) {
    let high = |samples: Vec<u16>| samples.into_iter().map(|s| (s >> 8) as u8).collect();
    let colour: ColorType = decoded.color();
    let samples = usize::from(colour.channel_count());
    let channels = if colour.has_color() { 3 } else { 1 };
    let pixels: Vec<u8> = match decoded {
        DynamicImage::ImageLuma8(p) => p.into_raw(),
        DynamicImage::ImageLumaA8(p) => p.into_raw(),
        DynamicImage::ImageRgb8(p) => p.into_raw(),
        DynamicImage::ImageRgba8(p) => p.into_raw(),
        DynamicImage::ImageLuma16(p) => high(p.into_raw()),
        DynamicImage::ImageLumaA16(p) => high(p.into_raw()),
        DynamicImage::ImageRgb16(p) => high(p.into_raw()),
        DynamicImage::ImageRgba16(p) => high(p.into_raw()),
        other => return (3, other.into_rgb8().into_raw()),
    };
    if samples == channels {
        return (channels, pixels);
    }
    (channels, pixels.chunks_exact(samples).flat_map(|p| &p[..channels]).copied().collect())
}

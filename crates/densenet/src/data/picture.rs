//! A decoded picture of 8-bit pixels, and the geometric operations on it before it becomes numbers.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::beside::{Beside, clipped, composited};
use super::decode::{self, Pixels};
use super::framing::{Grey16, Interpolation, Transparency};
use super::upright::turned;
use crate::{Error, Result};

/// Number of pixels above which a picture is refused, before decoding and after resizing, unless another limit is
/// given: 100 million.
pub const MAX_PIXELS: usize = 100_000_000;

/// Bytes of a file that are read however few pixels are allowed, since a larger JPEG is decoded at a fraction of its
/// size.
const MAX_BYTES: u64 = 1 << 29;

/// Bytes of a file that are read for each allowed pixel: three 16-bit samples.
const BYTES_OF_PIXEL: u64 = 6;

/// A picture of 8-bit pixels in rows, with interleaved channels: `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    height: usize,
    width: usize,
    channels: usize,
    pixels: Cow<'a, [u8]>,
    beside: Beside<'a>,
    /// The EXIF orientation, from 1 to 8.
    orientation: u8,
}

impl<'a> Picture<'a> {
    /// A picture of `[height, width, channels]` pixels, row-major; one channel is grey, three are red, green and blue.
    ///
    /// # Errors
    /// An extent of 0, channels other than 1 or 3, or a number of pixels that does not match the extents.
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
        Ok(Self { height, width, channels, pixels, beside: Beside::Nothing, orientation: 1 })
    }

    /// Reads and decodes a JPEG, PNG, BMP, GIF (its first frame), WebP, TIFF (its first page), PNM or ICO (its largest
    /// picture); the content determines the format, not the name.
    ///
    /// A JPEG gives exactly the pixels that libjpeg-turbo, and therefore PIL, gives. Transparency, the low bytes of
    /// 16-bit grey and the EXIF [`orientation`](Self::orientation) are kept beside the pixels: a
    /// [`Preprocessing`](super::Preprocessing) decides how they are handled. The orientation of a TIFF is applied.
    ///
    /// # Errors
    /// A file that cannot be read, is not a picture, or has more than [`MAX_PIXELS`] (detected before decoding). A JPEG
    /// with more is decoded at a half, a quarter or an eighth of its size.
    pub fn open(path: impl AsRef<Path>) -> Result<Picture<'static>> {
        Self::open_within(path, MAX_PIXELS)
    }

    /// Like [`Picture::open`], with another limit than [`MAX_PIXELS`].
    ///
    /// # Errors
    /// Those of [`Picture::open`].
    pub fn open_within(path: impl AsRef<Path>, max_pixels: usize) -> Result<Picture<'static>> {
        let path = path.as_ref();
        let most = MAX_BYTES.max(BYTES_OF_PIXEL.saturating_mul(max_pixels as u64));
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io(path))?;
        if bytes.len() as u64 > most {
            return Err(Error::format(path, format!("picture files of at most {most} bytes are read")));
        }
        Picture::decode_within(&bytes, path, max_pixels)
    }

    /// Decodes a picture from a file's bytes, as [`Picture::open`] does; errors call it `path`.
    ///
    /// # Errors
    /// Those of [`Picture::open`].
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Picture<'static>> {
        Self::decode_within(bytes, path, MAX_PIXELS)
    }

    /// Like [`Picture::decode`], with another limit than [`MAX_PIXELS`].
    ///
    /// # Errors
    /// Those of [`Picture::open`].
    pub fn decode_within(bytes: &[u8], path: &Path, max_pixels: usize) -> Result<Picture<'static>> {
        let Pixels { height, width, channels, data, beside, orientation } = decode::decode(bytes, path, max_pixels)?;
        Ok(Picture { beside, orientation, ..Picture::new(height, width, channels, data)? })
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of channels: 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels `[height, width, channels]`, row-major: without transparency, and only the high bytes of 16-bit
    /// samples.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The EXIF orientation of the pixels, from 1 (upright) to 8; 1 if the file does not state it.
    pub fn orientation(&self) -> u8 {
        self.orientation
    }

    /// Rotated and mirrored so that it is upright: its [`orientation`](Self::orientation) is 1.
    pub fn oriented(self) -> Self {
        if self.orientation == 1 {
            return self;
        }
        let size = (self.width, self.height);
        let turn = |samples: &[u8], channels| turned(samples, size, channels, self.orientation);
        let upright = turn(&self.pixels, self.channels);
        Self {
            height: upright.height,
            width: upright.width,
            pixels: upright.samples.into(),
            beside: self.beside.map(|samples| turn(samples, 1).samples),
            orientation: 1,
            ..self
        }
    }

    /// With the data beside the pixels merged into them according to these rules.
    pub(crate) fn flattened(self, transparency: Transparency, grey16: Grey16) -> Self {
        let pixels = match (&self.beside, transparency, grey16) {
            (Beside::Alpha(alpha), Transparency::White, _) => {
                composited(&self.pixels, self.channels, alpha, 255).into()
            }
            (Beside::Alpha(alpha), Transparency::Black, _) => composited(&self.pixels, self.channels, alpha, 0).into(),
            (Beside::LowBytes(low), _, Grey16::Clip) => clipped(&self.pixels, low).into(),
            _ => self.pixels,
        };
        Self { pixels, beside: Beside::Nothing, ..self }
    }

    /// The pixels `[height, width, channels]`, row-major, for writing.
    pub(super) fn pixels_mut(&mut self) -> &mut [u8] {
        self.pixels.to_mut()
    }

    /// The same picture, borrowed.
    pub(crate) fn view(&self) -> Picture<'_> {
        Picture { pixels: Cow::Borrowed(&self.pixels), beside: self.beside.view(), ..*self }
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

    /// Resized by one of PIL's antialiased filters on 8-bit pixels.
    ///
    /// Resizes one axis at a time, width before height, since PIL rounds to 8 bits between the two in that order.
    ///
    /// # Errors
    /// A picture so long and thin that it would exceed [`MAX_PIXELS`] in between.
    pub(crate) fn resize(
        self,
        height: usize,
        width: usize,
        interpolation: Interpolation,
        resizer: &mut Resizer,
    ) -> Result<Self> {
        let largest = width.saturating_mul(self.height.max(height));
        if largest > MAX_PIXELS {
            let reason = format!("resized to {height}x{width} it takes {largest} pixels, above {MAX_PIXELS}");
            return Err(Error::PictureSize { height: self.height, width: self.width, reason });
        }
        let (rows, options) = (self.height, resize_options(interpolation));
        Ok(self.resize_axis(rows, width, &options, resizer).resize_axis(height, width, &options, resizer))
    }

    fn resize_axis(self, height: usize, width: usize, options: &ResizeOptions, resizer: &mut Resizer) -> Self {
        if (height, width) == (self.height, self.width) {
            return self;
        }
        let pixels = match self.channels {
            1 => self.resize_pixels::<U8>(height, width, options, resizer),
            _ => self.resize_pixels::<U8x3>(height, width, options, resizer),
        };
        Self { height, width, pixels: pixels.into(), ..self }
    }

    /// `[height, width, channels]`, resized, where `P` is the pixel type.
    ///
    /// The type is passed explicitly because the resizer, if it finds the type itself, is compiled for 13 of them: half
    /// of this crate's build time.
    fn resize_pixels<P: PixelTrait>(
        &self,
        height: usize,
        width: usize,
        options: &ResizeOptions,
        resizer: &mut Resizer,
    ) -> Vec<u8> {
        let mut pixels = vec![0; height * width * self.channels];
        let source = TypedImageRef::<P>::from_buffer(self.width as u32, self.height as u32, &self.pixels)
            .expect("the constructor checked the number of pixels");
        let mut target = TypedImage::<P>::from_buffer(width as u32, height as u32, &mut pixels)
            .expect("as many pixels as the extents say");
        resizer.resize_typed(&source, &mut target, options).expect("the whole source is resized");
        pixels
    }

    /// The part of `height` rows from `top` and `width` columns from `left`; areas outside the picture are black.
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
        Self { height, width, pixels: pixels.into(), ..self }
    }
}

fn resize_options(interpolation: Interpolation) -> ResizeOptions {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false)
}

/// Which of `0..length`, moved by `offset`, lie in `0..extent`.
fn overlap(offset: isize, length: usize, extent: usize) -> std::ops::Range<usize> {
    let start = (-offset).clamp(0, length as isize) as usize;
    let end = (extent as isize - offset).clamp(start as isize, length as isize) as usize;
    start..end
}

/// Luma as PIL's `convert('L')` rounds it.
pub(super) fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16) as u8
}

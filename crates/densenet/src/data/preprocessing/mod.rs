//! From a picture to a network's input: size, crop, value range and normalisation, which are part of a trained model.

use fast_image_resize::Resizer;
use ndarray::Array4;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

mod inverse;
mod stored;

use self::stored::{Stored, StoredResize};
use super::Picture;
use super::framing::{ChannelOrder, Grey16, Interpolation, Orientation, Resize, Transparency, UNIT};
use crate::{Error, Result};

/// How a picture is prepared for a network, in the manner of torchvision's and timm's transforms of a PIL picture.
///
/// The picture is decoded, converted to the network's channels, resized with an antialiased filter on 8-bit pixels,
/// centre-cropped, scaled to the value range and normalised. This is the part of a weight file's [card](crate::Card)
/// about pictures; fields that a file leaves out have their defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Preprocessing {
    /// Height and width of the input, in pixels.
    pub size: usize,
    /// Which sides of a picture are resized to the length from which the input is cropped.
    pub resize: Resize,
    /// The input's share of that length, above 0 and at most 1: the length is `size / crop_fraction`, rounded down.
    pub crop_fraction: f64,
    /// The resize filter.
    pub interpolation: Interpolation,
    /// Order of a colour picture's channels.
    pub channel_order: ChannelOrder,
    /// The values of black and white before the mean is subtracted: `[0, 1]`, `[0, 255]` or `[-1024, 1024]`.
    pub value_range: [f32; 2],
    /// Mean of each channel, on the scale of `value_range`. Its length is the number of channels: 1 (grey) or 3
    /// (colour).
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, on the scale of `value_range`.
    pub std: Vec<f32>,
    /// How a picture is handled whose EXIF data say that it is rotated or mirrored.
    pub orientation: Orientation,
    /// How transparency is handled.
    pub transparency: Transparency,
    /// How 16-bit grey is handled.
    pub grey16: Grey16,
}

/// The names that [`Preprocessing::named`] knows.
pub const NAMES: [&str; 6] = ["imagenet", "cifar10", "cifar100", "fashion-mnist", "mnist", "xray"];

/// The largest side that a network's input may have.
const LARGEST: usize = 8192;

impl Preprocessing {
    /// A picture resized to `size` by `size` whatever its shape, bilinear, RGB, from 0 to 1, with these means and
    /// standard deviations: one of each for grey, three for colour.
    pub fn new(size: usize, mean: impl Into<Vec<f32>>, std: impl Into<Vec<f32>>) -> Self {
        Self {
            size,
            resize: Resize::Squash,
            crop_fraction: 1.0,
            interpolation: Interpolation::default(),
            channel_order: ChannelOrder::default(),
            value_range: UNIT,
            mean: mean.into(),
            std: std.into(),
            orientation: Orientation::default(),
            transparency: Transparency::default(),
            grey16: Grey16::default(),
        }
    }

    /// The preprocessing of that name (see [`NAMES`]), with the data set's own mean and standard deviation; `xray` is
    /// torchxrayvision's.
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "imagenet" => Self::new(224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).with_short_side(256),
            "cifar10" => Self::new(32, [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            "cifar100" => Self::new(32, [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
            "fashion-mnist" => Self::new(28, [0.2860], [0.3530]),
            "mnist" => Self::new(28, [0.1307], [0.3081]),
            "xray" => {
                let plain = Self::new(224, [0.0], [1.0]).with_short_side(224);
                Self { value_range: [-1024.0, 1024.0], ..plain }
            }
            _ => {
                let known = NAMES.join(", ");
                return Err(Error::Preprocessing(format!("no preprocessing is called {name:?}; choose from {known}")));
            }
        })
    }

    /// The same, with the short side resized to `pixels` before the input is cropped.
    pub fn with_short_side(self, pixels: usize) -> Self {
        Self { resize: Resize::Short, crop_fraction: self.size as f64 / pixels as f64, ..self }
    }

    /// The same for an input of `size` by `size`; the margin around the crop stays the same share.
    pub fn with_size(&self, size: usize) -> Self {
        Self { size, ..self.clone() }
    }

    /// Length in pixels to which the side or sides of a picture are resized before the centre crop.
    pub fn resized_side(&self) -> usize {
        // A fraction made from two whole numbers gives the second one back.
        (self.size as f64 / self.crop_fraction + 1e-6).floor() as usize
    }

    /// The same for a network with 1 or 3 input channels: grey's values are repeated for RGB, RGB's are weighted as
    /// luma for grey (an estimate for the deviation, exact if the channels vary together).
    pub fn with_channels(&self, channels: usize) -> Self {
        let convert = |values: &[f32]| match (values, channels) {
            (&[grey], 3) => vec![grey; 3],
            (&[r, g, b], 1) => vec![0.299 * r + 0.587 * g + 0.114 * b],
            _ => values.to_vec(),
        };
        Self { mean: convert(&self.mean), std: convert(&self.std), ..self.clone() }
    }

    /// Channels of the input: 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The normalised values of black and white in each channel.
    pub fn bounds(&self) -> impl Iterator<Item = (f64, f64)> {
        let [low, high] = self.value_range.map(f64::from);
        let channels = self.mean.iter().zip(&self.std).map(|(&mean, &std)| (f64::from(mean), f64::from(std)));
        channels.map(move |(mean, std)| ((low - mean) / std, (high - mean) / std))
    }

    /// Elements of one input: channels by height by width.
    pub fn elements(&self) -> usize {
        self.channels() * self.size * self.size
    }

    /// Checks values from a file or from the command line.
    ///
    /// # Errors
    /// Names the first wrong value, and what would be right.
    pub fn validate(&self) -> Result<()> {
        let Self { size, crop_fraction, value_range: [low, high], mean, std, .. } = self;
        check((1..=LARGEST).contains(size), || format!("size is {size}; it must be from 1 to {LARGEST}"))?;
        check(*crop_fraction > 0.0 && *crop_fraction <= 1.0, || {
            format!("crop_fraction is {crop_fraction}; it must be above 0 and at most 1")
        })?;
        check(self.resized_side() <= 2 * LARGEST, || {
            format!("size {size} at a crop_fraction of {crop_fraction} needs a side of {} pixels", self.resized_side())
        })?;
        check(low.is_finite() && high.is_finite() && low < high, || {
            format!("value_range is {low} to {high}; black must be below white")
        })?;
        check(matches!(mean.len(), 1 | 3) && std.len() == mean.len(), || {
            format!("{} means and {} deviations; use 1 each (grey) or 3 each (RGB)", mean.len(), std.len())
        })?;
        check(mean.iter().all(|m| m.is_finite()), || format!("mean is {mean:?}; it must be finite"))?;
        check(mean.iter().all(|m| (low - (high - low)..=*high).contains(m)), || {
            format!(
                "mean is {mean:?}; it must be in the value_range, {low} to {high} (divide values on the scale 0 to 255 \
                 by 255, or give that range)"
            )
        })?;
        check(std.iter().all(|&s| s.is_finite() && s > 0.0), || format!("std is {std:?}; it must be above 0"))
    }

    /// Writes the network's input for `picture` into `out`: `[channels, size, size]`, row-major.
    ///
    /// # Errors
    /// Values that are not [valid](Self::validate), or a picture so long and thin that it would exceed
    /// [`MAX_PIXELS`](super::MAX_PIXELS) when resized.
    ///
    /// # Panics
    /// If the length of `out` is not [`elements`](Self::elements).
    pub fn apply(&self, picture: &Picture<'_>, out: &mut [f32]) -> Result<()> {
        self.validate()?;
        let picture = self.converted(picture.view());
        let framed = self.frame(picture, &mut Resizer::new())?;
        self.normalise(&framed, false, out);
        Ok(())
    }

    /// The network's input for `pictures`, `(N, channels, size, size)`, computed on all threads of the current pool.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn batch(&self, pictures: &[Picture<'_>]) -> Result<Array4<f32>> {
        self.batch_of(pictures, |picture, out| self.apply(picture, out))
    }

    /// An array `(N, channels, size, size)` into which `fill` writes one input for each of `items`, on all threads of
    /// the current pool.
    ///
    /// # Errors
    /// Any error of `fill`.
    pub fn batch_of<I: Sync, E: Send>(
        &self,
        items: &[I],
        fill: impl Fn(&I, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Array4<f32>, E> {
        let mut inputs = Array4::zeros((items.len(), self.channels(), self.size, self.size));
        let out = inputs.as_slice_mut().expect("a new array is contiguous");
        out.par_chunks_exact_mut(self.elements()).zip(items).try_for_each(|(out, item)| fill(item, out))?;
        Ok(inputs)
    }

    /// Opaque, 8-bit, with the network's channels, and upright if requested: everything that is done before cropping.
    pub(super) fn converted<'a>(&self, picture: Picture<'a>) -> Picture<'a> {
        let picture = picture.flattened(self.transparency, self.grey16).convert(self.channels());
        match self.orientation {
            Orientation::Ignore => picture,
            Orientation::Apply => picture.oriented(),
        }
    }

    /// Resized and centre-cropped to `size` by `size`.
    pub(super) fn frame<'a>(&self, picture: Picture<'a>, resizer: &mut Resizer) -> Result<Picture<'a>> {
        let resized = self.resized(picture, resizer)?;
        let (top, left) = self.centre(&resized);
        Ok(resized.crop(top, left, self.size, self.size))
    }

    /// Resized, ready for the crop.
    pub(super) fn resized<'a>(&self, picture: Picture<'a>, resizer: &mut Resizer) -> Result<Picture<'a>> {
        let side = self.resized_side();
        let (height, width) = (picture.height(), picture.width());
        let long = side * height.max(width) / height.min(width);
        let (height, width) = match self.resize {
            Resize::Squash => (side, side),
            Resize::Short if height <= width => (side, long),
            Resize::Short => (long, side),
        };
        picture.resize(height, width, self.interpolation, resizer)
    }

    /// Top and left of the centre crop of a `resized` picture.
    pub(super) fn centre(&self, resized: &Picture<'_>) -> (isize, isize) {
        (margin(resized.height() - self.size), margin(resized.width() - self.size))
    }

    /// `(value - mean) / std`, from interleaved to `[channels, size, size]`, mirrored left to right if `flip`.
    pub(super) fn normalise(&self, picture: &Picture<'_>, flip: bool, out: &mut [f32]) {
        assert_eq!(out.len(), self.elements(), "elements of the output");
        let (size, channels) = (self.size, self.channels());
        for (c, plane) in out.chunks_exact_mut(size * size).enumerate() {
            let [low, high] = self.value_range;
            let value = |pixel: usize| low + (high - low) * (pixel as f32 / 255.0);
            let table: [f32; 256] = std::array::from_fn(|pixel| (value(pixel) - self.mean[c]) / self.std[c]);
            let c = if self.channel_order == ChannelOrder::Bgr { channels - 1 - c } else { c };
            let rows = picture.pixels().chunks_exact(size * channels);
            for (into, from) in plane.chunks_exact_mut(size).zip(rows) {
                let values = from.iter().skip(c).step_by(channels).map(|&v| table[usize::from(v)]);
                if flip {
                    into.iter_mut().rev().zip(values).for_each(|(o, v)| *o = v);
                } else {
                    into.iter_mut().zip(values).for_each(|(o, v)| *o = v);
                }
            }
        }
    }
}

impl TryFrom<Stored> for Preprocessing {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { size, mean, std, resize, crop_fraction, .. } = stored;
        let plain = Self::new(size, mean, std);
        let framed = match (resize, crop_fraction) {
            (StoredResize::ShortSide(_), Some(_)) => {
                return Err("resize is a number of pixels next to a crop_fraction; it must be short or squash".into());
            }
            (StoredResize::ShortSide(pixels), None) => plain.with_short_side(pixels),
            (StoredResize::Rule(resize), fraction) => Self { resize, crop_fraction: fraction.unwrap_or(1.0), ..plain },
            (StoredResize::Whole, fraction) => Self { crop_fraction: fraction.unwrap_or(1.0), ..plain },
        };
        let Stored { interpolation, channel_order, value_range, orientation, transparency, grey16, .. } = stored;
        Ok(Self { interpolation, channel_order, value_range, orientation, transparency, grey16, ..framed })
    }
}

/// Half of what a centre crop removes, with a half pixel rounded to even as Python's `round` does in torchvision.
fn margin(removed: usize) -> isize {
    (removed as f64 / 2.0).round_ties_even() as isize
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Preprocessing(message())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Preprocessing, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_that_are_absent_have_their_defaults() {
        let plain = Preprocessing::new(32, [0.5], [0.25]);
        assert_eq!(read(r#"{"size":32,"mean":[0.5],"std":[0.25]}"#), Ok(plain.clone()));
        assert_eq!(read(&serde_json::to_string(&plain).unwrap()), Ok(plain));
    }

    #[test]
    fn files_from_before_there_were_rules_have_the_short_side_in_pixels() {
        let old = |resize| read(&format!(r#"{{"size":224,"resize":{resize},"mean":[0.0],"std":[1.0]}}"#)).unwrap();
        let short = old("256");
        assert_eq!((short.resize, short.crop_fraction, short.resized_side()), (Resize::Short, 0.875, 256));
        assert_eq!(old("null").resize, Resize::Squash);
        for size in 1..=600 {
            for margin in [0, 1, 3, 32, 100] {
                let side = Preprocessing::new(size, [0.0], [1.0]).with_short_side(size + margin).resized_side();
                assert_eq!(side, size + margin, "{size}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, part) in [
            (r#"{"size":32,"resize":40,"crop_fraction":0.5,"mean":[0.5],"std":[0.25]}"#, "short or squash"),
            (r#"{"size":32,"mean":[0.5],"std":[0.25],"interpolation":"area"}"#, "`bilinear` or `bicubic`"),
            (r#"{"size":32,"mean":[0.5],"std":[0.25],"zoom":2}"#, "zoom"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}

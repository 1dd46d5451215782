//! From a picture to a network's input: size, crop, scale and normalisation, which are part of a trained model.

use fast_image_resize::Resizer;
use ndarray::Array4;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Picture;
use crate::{Error, Result};

/// What is done to a picture before a network reads it, as torchvision's transforms do it on a PIL picture.
///
/// The picture is converted to the network's channels, resized by an antialiased bilinear filter on 8-bit pixels,
/// cropped at its centre, divided by 255 and normalised. It travels in a weight file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Height and width of the input, in pixels.
    pub size: usize,
    /// The short side that a picture is resized to before its centre is cropped; without it the whole picture is
    /// resized to the input's size, whatever its shape.
    #[serde(default)]
    pub resize: Option<usize>,
    /// Mean of each channel, on the scale 0 to 1. Its length is the number of channels: 1 (grey) or 3 (RGB).
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, on the scale 0 to 1.
    pub std: Vec<f32>,
}

/// The names that [`Preprocessing::named`] knows.
pub const NAMES: [&str; 5] = ["imagenet", "cifar10", "cifar100", "fashion-mnist", "mnist"];

/// The largest side that a network's input may have.
const LARGEST: usize = 8192;

impl Preprocessing {
    /// The preprocessing of that name (see [`NAMES`]), with the data set's own mean and deviation.
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn named(name: &str) -> Result<Self> {
        let whole = |size, mean: &[f32], std: &[f32]| Self { size, resize: None, mean: mean.into(), std: std.into() };
        Ok(match name {
            "imagenet" => Self { resize: Some(256), ..whole(224, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]) },
            "cifar10" => whole(32, &[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]),
            "cifar100" => whole(32, &[0.5071, 0.4865, 0.4409], &[0.2673, 0.2564, 0.2762]),
            "fashion-mnist" => whole(28, &[0.2860], &[0.3530]),
            "mnist" => whole(28, &[0.1307], &[0.3081]),
            _ => {
                let known = NAMES.join(", ");
                return Err(Error::Preprocessing(format!("none is called {name:?}; there are {known}")));
            }
        })
    }

    /// The same for an input of `size` by `size`; the margin around the crop keeps its share.
    pub fn with_size(&self, size: usize) -> Self {
        let scaled = |short: usize| (short as f64 * size as f64 / self.size as f64).round() as usize;
        Self { size, resize: self.resize.map(scaled), ..self.clone() }
    }

    /// The same for a network of 1 or 3 input channels: grey's values are repeated for RGB, RGB's weighted as luma
    /// for grey (for the deviation an estimate, exact where the channels move together).
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

    /// Elements of one input: channels by height by width.
    pub fn elements(&self) -> usize {
        self.channels() * self.size * self.size
    }

    /// Checks values that came from a file or from the command line.
    ///
    /// # Errors
    /// The first value that is wrong, with what would be right.
    pub fn validate(&self) -> Result<()> {
        let Self { size, resize, mean, std } = self;
        check((1..=LARGEST).contains(size), || format!("size is {size}; it must be from 1 to {LARGEST}"))?;
        check(resize.is_none_or(|short| (*size..=2 * LARGEST).contains(&short)), || {
            let short = resize.unwrap_or_default();
            format!("resize is {short}; it must be from size, {size}, to {}", 2 * LARGEST)
        })?;
        check(matches!(mean.len(), 1 | 3) && std.len() == mean.len(), || {
            format!("{} means and {} deviations; it takes 1 each (grey) or 3 each (RGB)", mean.len(), std.len())
        })?;
        check(mean.iter().all(|m| m.is_finite()), || format!("mean is {mean:?}; it must be finite"))?;
        check(mean.iter().all(|m| m.abs() <= 1.0), || {
            format!("mean is {mean:?}; it must be on the scale 0 to 1 (divide by 255 what is on that of 0 to 255)")
        })?;
        check(std.iter().all(|&s| s.is_finite() && s > 0.0), || format!("std is {std:?}; it must be above 0"))
    }

    /// Writes the network's input for `picture` into `out`: `[channels, size, size]`, row-major.
    ///
    /// # Errors
    /// Values that are not [valid](Self::validate), or a picture so long and thin that it would exceed
    /// [`MAX_PIXELS`](super::MAX_PIXELS) when it is resized.
    ///
    /// # Panics
    /// When `out` is not of [`elements`](Self::elements) length.
    pub fn apply(&self, picture: &Picture<'_>, out: &mut [f32]) -> Result<()> {
        self.validate()?;
        let picture = picture.view().convert(self.channels());
        let framed = self.frame(picture, &mut Resizer::new())?;
        self.normalise(&framed, false, out);
        Ok(())
    }

    /// The network's input for `pictures`, `(N, channels, size, size)`; made on all threads of the current pool.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn batch(&self, pictures: &[Picture<'_>]) -> Result<Array4<f32>> {
        self.batch_of(pictures, |picture, out| self.apply(picture, out))
    }

    /// `(N, channels, size, size)`, into which `fill` writes one input for each of `items` on all threads of the current
    /// pool.
    ///
    /// # Errors
    /// An error of `fill`.
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

    /// Resized, and cropped at the centre, to `size` by `size`.
    pub(super) fn frame<'a>(&self, picture: Picture<'a>, resizer: &mut Resizer) -> Result<Picture<'a>> {
        let Some(short) = self.resize else {
            return picture.resize(self.size, self.size, resizer);
        };
        let (height, width) = (picture.height(), picture.width());
        let long = short * height.max(width) / height.min(width);
        let (height, width) = if height <= width { (short, long) } else { (long, short) };
        let resized = picture.resize(height, width, resizer)?;
        let (top, left) = (margin(height - self.size), margin(width - self.size));
        Ok(resized.crop(top, left, self.size, self.size))
    }

    /// `(pixel / 255 - mean) / std`, from interleaved to `[channels, size, size]`, mirrored left to right on `flip`.
    pub(super) fn normalise(&self, picture: &Picture<'_>, flip: bool, out: &mut [f32]) {
        assert_eq!(out.len(), self.elements(), "elements of the output");
        let (size, channels) = (self.size, self.channels());
        for (c, plane) in out.chunks_exact_mut(size * size).enumerate() {
            let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - self.mean[c]) / self.std[c]);
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

/// Half of what a centre crop removes, a half pixel rounded to even as Python's `round` does in torchvision.
fn margin(removed: usize) -> isize {
    (removed as f64 / 2.0).round_ties_even() as isize
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Preprocessing(message())) }
}

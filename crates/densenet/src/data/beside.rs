//! What a file holds besides a picture's 8-bit pixels.

use std::borrow::Cow;

/// What a file holds besides a picture's 8-bit pixels: one sample per pixel, row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Beside<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// The opacity of each pixel: 0 is transparent, 255 opaque.
    Alpha(Cow<'a, [u8]>),
    /// The low bytes of 16-bit grey, whose high bytes are the pixels.
    LowBytes(Cow<'a, [u8]>),
}

impl Beside<'_> {
    /// The same, borrowed.
    pub fn view(&self) -> Beside<'_> {
        match self {
            Self::Nothing => Beside::Nothing,
            Self::Alpha(samples) => Beside::Alpha(Cow::Borrowed(samples)),
            Self::LowBytes(samples) => Beside::LowBytes(Cow::Borrowed(samples)),
        }
    }

    /// The same kind, with the samples replaced by the result of `change`.
    pub fn map(self, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Alpha(samples) => Self::Alpha(change(&samples).into()),
            Self::LowBytes(samples) => Self::LowBytes(change(&samples).into()),
        }
    }
}

/// Interleaved `pixels` with `channels` channels on a uniform ground, rounded to the nearest level as PIL rounds.
pub(super) fn composited(pixels: &[u8], channels: usize, alpha: &[u8], ground: u8) -> Vec<u8> {
    let over = |&sample: &u8, alpha: u8| {
        let sum = u32::from(sample) * u32::from(alpha) + u32::from(ground) * u32::from(255 - alpha);
        ((sum + 127) / 255) as u8
    };
    pixels
        .chunks_exact(channels)
        .zip(alpha)
        .flat_map(|(pixel, &alpha)| pixel.iter().map(move |s| over(s, alpha)))
        .collect()
}

/// 16-bit grey with everything above 255 clipped to 255.
pub(super) fn clipped(high: &[u8], low: &[u8]) -> Vec<u8> {
    high.iter().zip(low).map(|(&high, &low)| if high == 0 { low } else { 255 }).collect()
}

//! What a file holds beside the 8-bit pixels of a picture.

use std::borrow::Cow;

/// What a file holds beside the 8-bit pixels of a picture: a sample a pixel, row-major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Beside<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// How opaque each pixel is: 0 lets all through, 255 nothing.
    Alpha(Cow<'a, [u8]>),
    /// The low bytes of grey of 16 bits, of which the pixels are the high bytes.
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

    /// The same kind of what `change` makes of the samples.
    pub fn map(self, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Alpha(samples) => Self::Alpha(change(&samples).into()),
            Self::LowBytes(samples) => Self::LowBytes(change(&samples).into()),
        }
    }
}

/// Interleaved `pixels` of so many channels on a ground of one shade, rounded to the nearest level as PIL rounds.
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

/// Grey of 16 bits with everything above 255 cut to 255.
pub(super) fn clipped(high: &[u8], low: &[u8]) -> Vec<u8> {
    high.iter().zip(low).map(|(&high, &low)| if high == 0 { low } else { 255 }).collect()
}

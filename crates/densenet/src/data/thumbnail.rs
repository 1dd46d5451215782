//! Small JPEGs of pictures, for people to look at.

use fast_image_resize::Resizer;
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use super::framing::Interpolation;
use super::picture::Picture;
use crate::{Error, Result};

/// JPEG quality, from 1 to 100.
const QUALITY: u8 = 88;

impl Picture<'_> {
    /// A JPEG of the picture, upright, whose longer side has at most `side` pixels; a smaller picture is not enlarged.
    ///
    /// # Errors
    /// A side of 0, or a picture so long and thin that it cannot be resized.
    pub fn thumbnail(&self, side: usize) -> Result<Vec<u8>> {
        let upright = self.view().oriented();
        let (height, width) = (upright.height(), upright.width());
        let longer = height.max(width);
        let scaled = |extent: usize| if longer > side { (extent * side).div_ceil(longer) } else { extent };
        let wrong = |reason: String| Error::PictureSize { height, width, reason };
        if side == 0 {
            return Err(wrong("a thumbnail has at least one pixel".into()));
        }
        let small = upright.resize(scaled(height), scaled(width), Interpolation::Bilinear, &mut Resizer::new())?;
        let format = if small.channels() == 1 { PixelFormat::Grayscale } else { PixelFormat::Rgb };
        compress(small.pixels(), small.width(), small.height(), format, QUALITY, Subsampling::S444)
            .map_err(|error| wrong(format!("no JPEG can be made of it: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Height, width and channels of the thumbnail of a picture, and its mean grey.
    fn thumbnail(height: usize, width: usize, channels: usize) -> ([usize; 3], f64) {
        let picture = Picture::new(height, width, channels, vec![100; height * width * channels]).unwrap();
        let jpeg = picture.thumbnail(16).unwrap();
        let read = Picture::decode(&jpeg, Path::new("thumbnail")).unwrap();
        let sum: f64 = read.pixels().iter().copied().map(f64::from).sum();
        ([read.height(), read.width(), read.channels()], sum / read.pixels().len() as f64)
    }

    #[test]
    fn thumbnails_keep_proportions_and_colours() {
        for (size, expected) in
            [([40, 20, 3], [16, 8, 3]), ([9, 16, 1], [9, 16, 1]), ([1, 500, 3], [1, 16, 3]), ([1, 1, 1], [1, 1, 1])]
        {
            let (found, grey) = thumbnail(size[0], size[1], size[2]);
            assert_eq!(found, expected);
            assert!((grey - 100.0).abs() < 3.0, "{size:?}: {grey}");
        }
        let picture = Picture::new(2, 2, 1, vec![0; 4]).unwrap();
        assert!(picture.thumbnail(0).unwrap_err().to_string().contains("at least one pixel"));
    }
}

//! Rotating and mirroring by the EXIF orientation.

/// Samples of a picture that has been turned upright.
pub(super) struct Turned {
    pub height: usize,
    pub width: usize,
    /// Interleaved.
    pub samples: Vec<u8>,
}

/// Interleaved `samples` with one channel or three, from a picture of `(width, height)`, turned upright from the EXIF
/// `orientation`, 1 to 8.
pub(super) fn turned(samples: &[u8], (width, height): (usize, usize), channels: usize, orientation: u8) -> Turned {
    let across = orientation > 4;
    let (to_height, to_width) = if across { (width, height) } else { (height, width) };
    // Where the pixel for a row and column is in the file.
    let source = |y: usize, x: usize| match orientation {
        2 => (y, width - 1 - x),
        3 => (height - 1 - y, width - 1 - x),
        4 => (height - 1 - y, x),
        5 => (x, y),
        6 => (height - 1 - x, y),
        7 => (height - 1 - x, width - 1 - y),
        8 => (x, width - 1 - y),
        _ => (y, x),
    };
    let mut turned = Vec::with_capacity(samples.len());
    for (y, x) in (0..to_height).flat_map(|y| (0..to_width).map(move |x| (y, x))) {
        let (row, column) = source(y, x);
        turned.extend_from_slice(&samples[(row * width + column) * channels..][..channels]);
    }
    Turned { height: to_height, width: to_width, samples: turned }
}

#[cfg(all(test, feature = "pictures"))]
mod tests {
    use image::metadata::Orientation;
    use image::{DynamicImage, RgbImage};

    use super::*;

    #[test]
    fn turns_as_the_crate_image_does() {
        let samples: Vec<u8> = (0..3 * 4 * 3).map(|i| i as u8).collect();
        for orientation in 1..=8 {
            let mut image = DynamicImage::from(RgbImage::from_raw(4, 3, samples.clone()).unwrap());
            image.apply_orientation(Orientation::from_exif(orientation).unwrap());
            let found = turned(&samples, (4, 3), 3, orientation);
            assert_eq!((found.width, found.height), (image.width() as usize, image.height() as usize));
            assert_eq!(found.samples, image.into_bytes(), "{orientation}");
        }
    }
}

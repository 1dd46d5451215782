//! Decoding of good, bad and hostile pictures.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use densenet::Error;
use densenet::data::{Picture, Preprocessing, Resize};
use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/preprocessing").join(name)
}

fn decode(bytes: &[u8]) -> densenet::Result<Picture<'static>> {
    Picture::decode(bytes, Path::new("some.picture"))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG of one byte of pixels whose header claims `width` by `height`.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(&DynamicImage::new_luma8(1, 1), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    png
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn refusal(bytes: &[u8]) -> String {
    let error = decode(bytes).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn lossless_formats_give_their_pixels() {
    let rgb = image::RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 50, y as u8 * 100, 7]));
    let picture = DynamicImage::from(rgb.clone());
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let decoded = decode(&encoded(&picture, format)).unwrap();
        assert_eq!((decoded.height(), decoded.width(), decoded.channels()), (3, 5, 3), "{format:?}");
        assert_eq!(decoded.pixels(), rgb.as_raw(), "{format:?}");
    }
}

#[test]
fn deep_grey_keeps_its_high_byte() {
    let deep = image::ImageBuffer::from_fn(4, 1, |x, _| image::Luma([[0u16, 255, 256, 65_535][x as usize]]));
    let decoded = decode(&encoded(&DynamicImage::ImageLuma16(deep), ImageFormat::Png)).unwrap();
    assert_eq!((decoded.channels(), decoded.pixels()), (1, [0, 0, 1, 255].as_slice()));
}

#[test]
fn a_huge_picture_is_refused_before_decoding() {
    let message = refusal(&claiming(60_000, 60_000));
    assert!(message.contains("some.picture: 60000x60000 is 3600000000 pixels; at most 100000000"), "{message}");
    let mut jpeg = std::fs::read(golden("pants.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0] || pair == [0xff, 0xc2]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let message = refusal(&jpeg);
    assert!(message.contains("image width 65535 exceeds limit 65500"), "{message}");
}

#[test]
fn what_is_no_picture_is_refused() {
    assert!(refusal(b"").contains("an empty file"));
    assert!(refusal(b"hello, I am a text").contains("not a picture; JPEG, PNG"));
    let missing = Picture::open("there/is/none.jpg").unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("none.jpg"), "{missing}");
}

#[test]
fn truncated_pictures_are_refused() {
    for name in ["pants.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "alpha.png", "deep.png"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        for part in [3, 50, bytes.len() / 2, bytes.len() * 3 / 4] {
            assert!(decode(&bytes[..part]).is_err(), "{name}, {part} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn a_thread_of_pixels_is_refused_instead_of_filling_memory() {
    for (height, width) in [(1, 9_000_000), (9_000_000, 1)] {
        let thread = Picture::new(height, width, 1, vec![0; 9_000_000]).unwrap();
        for resize in [Resize::Short, Resize::Squash] {
            let preprocessing = Preprocessing { resize, ..Preprocessing::new(2048, [0.0], [1.0]) };
            let result = preprocessing.apply(&thread, &mut vec![0.0; preprocessing.elements()]);
            // A wide one is narrowed first, so that the whole of it fits.
            if (height, resize) == (1, Resize::Squash) {
                result.unwrap();
            } else {
                assert!(matches!(result, Err(Error::PictureSize { .. })), "{height}x{width}, {resize:?}");
            }
        }
    }
}

#[test]
fn pixels_must_be_of_the_number_that_the_extents_say() {
    for (height, width, channels, count) in [(2, 2, 3, 11), (2, 2, 2, 8), (0, 2, 1, 0), (usize::MAX, 2, 1, 8)] {
        let picture = Picture::new(height, width, channels, vec![0; count]);
        assert!(matches!(picture, Err(Error::PictureSize { .. })), "{height}x{width}x{channels}, {count} bytes");
    }
}

/// One small picture of each kind, by the format that decodes it.
fn kinds() -> Vec<Vec<u8>> {
    let old = ["pants.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "alpha.png", "bits.png", "palette.png"];
    let new = ["ycck-22-11-11-22.jpg", "cmyk-progressive.jpg", "ycc-11-21-11.jpg", "rgb.tif", "bits.tif", "alpha.tif"];
    let others = ["deep-cmyk.tif", "text.pgm", "bits.pbm", "icon.ico", "bitmap.ico", "lossless.webp", "turned-6.jpg"];
    let pictures = golden("../pictures");
    let new = new.iter().chain(&others).map(|name| pictures.join(name));
    old.iter().map(|name| golden(name)).chain(new).map(|path| std::fs::read(path).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever becomes of a file's bytes, decoding gives a picture or an error, and never panics.
    #[test]
    fn damaged_pictures_never_panic(
        which in 0usize..20,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        static KINDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(kinds);
        let mut bytes = KINDS[which].clone();
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(picture) = decode(&bytes) {
            prop_assert_eq!(picture.pixels().len(), picture.height() * picture.width() * picture.channels());
        }
    }
}

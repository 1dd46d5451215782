//! Decoding against PIL: goldens of `goldens/pictures.py`.

use std::path::{Path, PathBuf};

use densenet::data::Picture;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/pictures")
}

/// The golden `name`, a PNG.
fn golden(name: &str) -> Picture<'static> {
    Picture::open(goldens().join(name)).unwrap()
}

/// The largest difference of any sample.
fn difference(ours: &Picture<'_>, theirs: &Picture<'_>) -> u8 {
    let shape = |picture: &Picture<'_>| (picture.height(), picture.width(), picture.channels());
    assert_eq!(shape(ours), shape(theirs));
    ours.pixels().iter().zip(theirs.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// The names of the pictures that `is` one of those asked for and that have a golden.
fn pictures(is: impl Fn(&str) -> bool) -> Vec<String> {
    let names = std::fs::read_dir(goldens()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| is(name) && goldens().join(format!("{name}.png")).is_file()).collect();
    names.sort();
    names
}

/// Checks `count` pictures against their goldens, to `levels` at most.
fn check(levels: u8, count: usize, is: impl Fn(&str) -> bool) {
    let names = pictures(is);
    let differences = names.iter().map(|name| {
        let difference = match Picture::open(goldens().join(name)) {
            Ok(ours) => difference(&ours, &golden(&format!("{name}.png"))).to_string(),
            Err(error) => error.to_string(),
        };
        println!("{name}: {difference}");
        difference.parse().is_ok_and(|difference: u8| difference <= levels)
    });
    assert_eq!(differences.filter(|sound| *sound).count(), count);
    assert_eq!(names.len(), count);
}

#[test]
fn jpegs_of_three_components_are_pils_for_every_sampling() {
    check(0, 21, |name| name.starts_with("ycc-") || name.starts_with("rgb-"));
}

#[test]
fn jpegs_of_four_components_are_pils_for_every_sampling() {
    check(0, 20, |name| (name.starts_with("ycck-") || name.starts_with("cmyk-")) && name.ends_with(".jpg"));
}

/// Whether `name` is of a picture that is neither JPEG nor PNG.
fn is_other(name: &str) -> bool {
    name.matches('.').count() == 1 && !name.ends_with(".jpg") && !name.ends_with(".png")
}

#[test]
fn other_formats_are_pils() {
    check(0, 14, |name| is_other(name) && !name.contains("cmyk"));
    // Inks of a TIFF are changed to colours by the crate `image`, which cuts where PIL rounds.
    check(1, 2, |name| is_other(name) && name.contains("cmyk"));
}

#[test]
fn orientation_is_told_and_applied_as_pil_does() {
    let names = pictures(|name| name.starts_with("turned-") && name.matches('.').count() == 1);
    assert_eq!(names.len(), 11);
    for name in names {
        let picture = Picture::open(goldens().join(&name)).unwrap();
        let told: u8 = name["turned-".len()..][..1].parse().unwrap();
        // PIL turns a TIFF as it opens it.
        assert_eq!(picture.orientation(), if name.ends_with("tif") { 1 } else { told }, "{name}");
        assert_eq!(difference(&picture, &golden(&format!("{name}.png"))), 0, "{name}");
        let upright = picture.oriented();
        assert_eq!(upright.orientation(), 1, "{name}");
        assert_eq!(difference(&upright, &golden(&format!("{name}.upright.png"))), 0, "{name}");
    }
}

/// Pixels of a picture of 61x45 whose sides are divided by `part`.
fn pixels(part: usize) -> usize {
    61usize.div_ceil(part) * 45usize.div_ceil(part)
}

#[test]
fn jpegs_above_the_limit_are_decoded_at_a_fraction_to_libjpegs_pixels() {
    for name in ["grey", "0", "1", "2", "cmyk", "progressive"].map(|kind| format!("large-{kind}.jpg")) {
        // The coefficients of a progressive picture are kept whole, whatever the fraction.
        let parts = if name.contains("progressive") { &[2][..] } else { &[2, 4, 8] };
        for part in parts {
            let ours = Picture::open_within(goldens().join(&name), pixels(*part)).unwrap();
            assert_eq!(difference(&ours, &golden(&format!("{name}.{part}.png"))), 0, "{name} at 1/{part}");
        }
        let whole = Picture::open_within(goldens().join(&name), pixels(1)).unwrap();
        assert_eq!((whole.width(), whole.height()), (61, 45));
    }
}

fn refusal(name: &str, max_pixels: usize) -> String {
    Picture::open_within(goldens().join(name), max_pixels).unwrap_err().to_string()
}

#[test]
fn what_no_fraction_brings_below_the_limit_is_refused() {
    let message = refusal("large-2.jpg", 47);
    assert!(message.contains("large-2.jpg: 61x45 is 2745 pixels; at most 47 are decoded (--max-pixels)"), "{message}");
    assert!(refusal("large-progressive.jpg", pixels(4)).contains("at most 192 are decoded"));
    for name in ["rgb.tif", "rgb.ppm", "icon.ico", "turned-1.png", "turned-6.webp", "ycck-22-11-11-22.jpg"] {
        assert!(refusal(name, 34).contains("at most 34 are decoded"), "{name}");
    }
}

/// libjpeg refuses it too.
#[test]
fn a_sampling_that_is_no_whole_multiple_is_refused() {
    for name in ["ycc-32-21-11.jpg", "ycck-32-21-11-11.jpg"] {
        assert!(refusal(name, 1 << 20).contains("not a readable JPEG"), "{name}");
    }
}

/// A grey JPEG of one shade: a bit for each block's first coefficient and a bit for its end, all of them 0.
fn grey_jpeg(width: u16, height: u16) -> Vec<u8> {
    let segment =
        |marker: u8, body: &[u8]| [&[0xff, marker], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat();
    let [w, h] = [width, height].map(u16::to_be_bytes);
    // A table of one symbol, 0, whose code is of one bit.
    let table = |class: u8| [&[class, 1][..], &[0; 16]].concat();
    let bits = 2 * usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]),
        segment(0xc4, &table(0)),
        segment(0xc4, &table(0x10)),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0; bits.div_ceil(8)],
        vec![0xff, 0xd9],
    ]
    .concat()
}

#[test]
fn a_jpeg_of_108_million_pixels_is_decoded_at_a_half() {
    let bytes = grey_jpeg(12_000, 9_000);
    let picture = Picture::decode(&bytes, Path::new("scan.jpg")).unwrap();
    assert_eq!((picture.width(), picture.height(), picture.channels()), (6000, 4500, 1));
    assert!(picture.pixels().iter().all(|&pixel| pixel == 128));
    let whole = Picture::decode_within(&bytes, Path::new("scan.jpg"), 108_000_000).unwrap();
    assert_eq!((whole.width(), whole.height()), (12_000, 9_000));
}

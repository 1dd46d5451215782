//! Preprocessing against torchvision: goldens of `goldens/preprocessing.py`.

use std::path::{Path, PathBuf};

use densenet::data::{ChannelOrder, Grey16, Interpolation, Orientation, Picture, Preprocessing, Resize, Transparency};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/preprocessing")
}

/// Pixels of a picture prepared without normalisation, back on the scale 0 to 255, interleaved.
fn prepared(picture: &str, preprocessing: &Preprocessing) -> Vec<u8> {
    let mut out = vec![f32::NAN; preprocessing.elements()];
    preprocessing.apply(&Picture::open(goldens().join(picture)).unwrap(), &mut out).unwrap();
    let plane = preprocessing.size * preprocessing.size;
    (0..out.len())
        .map(|i| (out[i % preprocessing.channels() * plane + i / preprocessing.channels()] * 255.0).round() as u8)
        .collect()
}

/// Levels by which each pixel differs from the golden of that name: `PICTURE.MODE.RESIZE.CROP.png`.
fn differences(golden: &str) -> Vec<u8> {
    let parts: Vec<&str> = golden.split('.').collect();
    let [name, kind, mode, resize, crop, _] = parts[..] else { panic!("{golden} has another form") };
    let channels = if mode == "L" { 1 } else { 3 };
    let whole = Preprocessing::new(crop.parse().unwrap(), vec![0.0; channels], vec![1.0; channels]);
    let preprocessing = match resize.parse() {
        Ok(pixels) => whole.with_short_side(pixels),
        Err(_) => whole,
    };
    let ours = prepared(&format!("{name}.{kind}"), &preprocessing);
    let theirs = Picture::open(goldens().join(golden)).unwrap();
    assert_eq!(theirs.channels(), channels, "{golden}");
    ours.iter().zip(theirs.pixels()).map(|(a, b)| a.abs_diff(*b)).collect()
}

/// Every picture of every kind is within one level of torchvision's, and 99.9 % of the pixels are equal.
#[test]
fn pixels_are_torchvisions() {
    let names = std::fs::read_dir(goldens()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.split('.').count() == 6).collect();
    assert_eq!(names.len(), 20);
    let (mut pixels, mut unequal) = (0, 0);
    for name in names {
        let differences = differences(&name);
        let largest = differences.iter().max().unwrap();
        let count = differences.iter().filter(|&&d| d > 0).count();
        println!("{name}: largest difference {largest}, {count} of {} unequal", differences.len());
        assert!(*largest <= 1, "{name}: {largest} levels");
        pixels += differences.len();
        unequal += count;
    }
    assert!(unequal * 1000 <= pixels, "{unequal} of {pixels} unequal");
}

#[test]
fn normalised_values_are_torchvisions() {
    let preprocessing = Preprocessing::named("imagenet").unwrap().with_size(16).with_short_side(18);
    let mut ours = vec![f32::NAN; preprocessing.elements()];
    preprocessing.apply(&Picture::open(goldens().join("pants.jpg")).unwrap(), &mut ours).unwrap();
    let bytes = std::fs::read(goldens().join("pants.imagenet.18.16.f32")).unwrap();
    let theirs: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        // One level is 1 / 255 / 0.224 at most.
        assert!((a - b).abs() <= 0.0176, "element {i}: {a} and {b}");
    }
    let equal = ours.iter().zip(&theirs).filter(|(a, b)| (*a - *b).abs() < 1e-6).count();
    assert!(equal * 100 >= 99 * ours.len(), "{equal} of {} equal", ours.len());
}

/// Every interpolation and crop rule, against goldens of `goldens/timm_transforms.py`.
#[test]
fn interpolations_and_crops_are_timms() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/timm");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 6);
    for name in names {
        let parts: Vec<&str> = name.strip_suffix(".png").unwrap().split('-').collect();
        let [picture, interpolation, mode, crop, size] = parts[..] else { panic!("{name} has another form") };
        let preprocessing = Preprocessing {
            resize: if mode == "squash" { Resize::Squash } else { Resize::Short },
            crop_fraction: crop.parse().unwrap(),
            interpolation: if interpolation == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear },
            ..Preprocessing::new(size.parse().unwrap(), [0.0; 3], [1.0; 3])
        };
        let ours = prepared(&format!("{picture}.jpg"), &preprocessing);
        let theirs = Picture::open(folder.join(&name)).unwrap();
        let differences: Vec<u8> = ours.iter().zip(theirs.pixels()).map(|(a, b)| a.abs_diff(*b)).collect();
        let unequal = differences.iter().filter(|&&d| d > 0).count();
        assert_eq!(ours.len(), theirs.pixels().len(), "{name}");
        assert!(differences.iter().all(|&d| d <= 1) && unequal * 100 <= ours.len(), "{name}: {unequal} unequal");
    }
}

#[test]
fn values_have_their_range_and_channels_their_order() {
    let picture = Picture::new(1, 1, 3, vec![0, 51, 255]).unwrap();
    let values = |preprocessing: Preprocessing| {
        let mut out = [f32::NAN; 3];
        preprocessing.apply(&picture, &mut out).unwrap();
        out
    };
    let plain = Preprocessing::new(1, [0.0; 3], [1.0; 3]);
    let range = |value_range| values(Preprocessing { value_range, ..plain.clone() });
    assert_eq!(range([0.0, 255.0]), [0.0, 51.0, 255.0]);
    // torchxrayvision: (2 * (pixel / 255) - 1) * 1024
    assert_eq!(range([-1024.0, 1024.0]), [-1024.0, -614.4, 1024.0]);
    let bgr = Preprocessing { channel_order: ChannelOrder::Bgr, mean: vec![1.0, 0.0, 0.0], ..plain };
    assert_eq!(values(bgr), [0.0, 0.2, 0.0]);
}

/// What is done to a picture whose golden of `goldens/flattening.py` is called that.
fn flattening(rule: &str) -> (Transparency, Grey16) {
    let read = |rule: &str| serde_json::Value::String(rule.into());
    let transparency = serde_json::from_value(read(rule)).unwrap_or_default();
    (transparency, serde_json::from_value(read(rule)).unwrap_or_default())
}

/// Transparency in every format, and grey of 16 bits, by every rule; equal to PIL.
#[test]
fn transparency_and_deep_grey_are_pils_by_every_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/flattening");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.matches('.').count() == 3).collect();
    names.sort();
    assert_eq!(names.len(), 11 * 3 + 4 * 2);
    let differing: Vec<&String> = names.iter().filter(|name| !is_golden(&folder, name)).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// Whether the picture of a golden `PICTURE.KIND.RULE.png` becomes that golden by that rule.
fn is_golden(folder: &Path, golden: &str) -> bool {
    let theirs = Picture::open(folder.join(golden)).unwrap();
    let (picture, rule) = golden.trim_end_matches(".png").rsplit_once('.').unwrap();
    let (transparency, grey16) = flattening(rule);
    let channels = vec![0.0; theirs.channels()];
    let std = vec![1.0; theirs.channels()];
    let preprocessing = Preprocessing { transparency, grey16, ..Preprocessing::new(16, channels, std) };
    let mut out = vec![f32::NAN; preprocessing.elements()];
    preprocessing.apply(&Picture::open(folder.join(picture)).unwrap(), &mut out).unwrap();
    let plane = |c: usize| theirs.pixels().iter().skip(c).step_by(theirs.channels());
    let theirs: Vec<u8> = (0..theirs.channels()).flat_map(plane).copied().collect();
    theirs == out.iter().map(|value| (value * 255.0).round() as u8).collect::<Vec<_>>()
}

#[test]
fn a_turned_picture_is_turned_upright_where_the_card_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned.jpg");
    std::fs::write(&path, turned(&std::fs::read(goldens().join("grey.jpg")).unwrap())).unwrap();
    let picture = Picture::open(&path).unwrap();
    assert_eq!(picture.orientation(), 6);
    let prepare = |orientation| {
        let preprocessing = Preprocessing { orientation, ..Preprocessing::new(40, [0.0], [1.0]) };
        let mut out = vec![f32::NAN; preprocessing.elements()];
        preprocessing.apply(&picture, &mut out).unwrap();
        out
    };
    let (stored, upright) = (prepare(Orientation::Ignore), prepare(Orientation::Apply));
    assert_ne!(stored, upright);
    // Turned to the right by a quarter: the first column, from below, becomes the first row.
    let turned: Vec<f32> = (0..1600).map(|i| stored[(39 - i % 40) * 40 + i / 40]).collect();
    let off = turned.iter().zip(&upright).filter(|(a, b)| (**a - **b).abs() > 1.5 / 255.0).count();
    assert_eq!(off, 0);
}

/// `jpeg` with an EXIF segment that says that it must be turned to the right by a quarter.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let segment = [&b"Exif\0\0"[..], tiff].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &segment, &jpeg[2..]].concat()
}

//! Preprocessing against torchvision: goldens of `goldens/preprocessing.py`.

use std::path::{Path, PathBuf};

use densenet::data::{Picture, Preprocessing};

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
    let preprocessing = Preprocessing {
        size: crop.parse().unwrap(),
        resize: resize.parse().ok(),
        mean: vec![0.0; channels],
        std: vec![1.0; channels],
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
    let preprocessing = Preprocessing { resize: Some(18), size: 16, ..Preprocessing::named("imagenet").unwrap() };
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

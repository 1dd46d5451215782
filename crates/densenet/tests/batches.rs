//! Batches: their layout, their augmentation, and that no thread or order changes them.

use std::collections::HashSet;
use std::path::Path;

use densenet::data::{Augment, Augmentation, ColorJitter, Picture, Preprocessing, RandAugment, Resize, Split};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// Pictures of 8-bit noise.
fn noise(count: usize, height: usize, width: usize, channels: usize) -> Split {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pixels = (0..count * height * width * channels).map(|_| next()).collect();
    let classes = vec!["one".into()];
    Split::in_memory(Path::new("noise"), [height, width, channels], pixels, vec![0; count], classes).unwrap()
}

/// Values from 0 to 255, not normalised, of an input of `size`.
fn raw(size: usize, channels: usize) -> Preprocessing {
    Preprocessing::new(size, vec![0.0; channels], vec![1.0 / 255.0; channels])
}

fn fill(
    split: &Split,
    indices: &[usize],
    preprocessing: &Preprocessing,
    augmentation: impl Into<Augmentation>,
    seed: u64,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; indices.len() * preprocessing.elements()];
    split.fill(indices, preprocessing, augmentation, seed, &mut out).unwrap();
    assert!(out.iter().all(|v| v.is_finite()), "every element is written");
    out
}

fn close(a: f32, b: u8) -> bool {
    (a - f32::from(b)).abs() < 1e-3
}

#[test]
fn a_batch_is_channels_by_rows_by_columns() {
    let split = noise(3, 5, 5, 3);
    let out = fill(&split, &[2, 0], &raw(5, 3), Augment::None, 0);
    for (n, index) in [2, 0].into_iter().enumerate() {
        let picture = split.picture(index).unwrap();
        for (i, &value) in picture.pixels().iter().enumerate() {
            let (c, pixel) = (i % 3, i / 3);
            assert!(close(out[n * 75 + c * 25 + pixel], value));
        }
    }
}

#[test]
fn one_channel_becomes_three_and_three_become_luma() {
    let grey = fill(&noise(1, 4, 4, 1), &[0], &raw(4, 3), Augment::None, 0);
    assert!(grey[..16] == grey[16..32] && grey[..16] == grey[32..]);
    let split = noise(1, 4, 4, 3);
    let luma = fill(&split, &[0], &raw(4, 1), Augment::None, 0);
    for (value, p) in luma.iter().zip(split.picture(0).unwrap().pixels().chunks_exact(3)) {
        let exact = 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        assert!((value - exact).abs() <= 0.51, "{value}, exactly {exact}");
    }
}

const AUGMENTS: [Augment; 4] = [Augment::None, Augment::Flip, Augment::CropFlip, Augment::ResizedCrop];

/// Each of [`AUGMENTS`], and all that there is at once.
fn augmentations() -> Vec<Augmentation> {
    let color_jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    let rand_augment = RandAugment { ops: 2, magnitude: 9 };
    let all = Augmentation { color_jitter, rand_augment, random_erasing: 0.5, ..Augment::ResizedCrop.into() };
    AUGMENTS.map(Augmentation::from).into_iter().chain([all]).collect()
}

#[test]
fn neither_threads_nor_order_nor_company_change_a_picture() {
    let split = noise(40, 20, 17, 3);
    let preprocessing = raw(12, 3).with_short_side(14);
    let forwards: Vec<usize> = (0..40).collect();
    let backwards: Vec<usize> = (0..40).rev().collect();
    for augmentation in augmentations() {
        let batch = fill(&split, &forwards, &preprocessing, augmentation, 7);
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let reversed = single.install(|| fill(&split, &backwards, &preprocessing, augmentation, 7));
        let elements = preprocessing.elements();
        for (a, b) in batch.chunks_exact(elements).zip(reversed.rchunks_exact(elements)) {
            assert_eq!(a, b, "{augmentation:?}");
        }
        let other = fill(&split, &forwards, &preprocessing, augmentation, 8);
        assert_eq!(batch == other, augmentation.base == Augment::None, "{augmentation:?} under another seed");
    }
}

/// SHA-256 of a batch of 8 pictures, in hexadecimal.
fn hash(augmentation: Augment) -> String {
    let batch = fill(&noise(8, 20, 17, 3), &[0, 1, 2, 3, 4, 5, 6, 7], &raw(12, 3), augmentation, 7);
    let bytes: Vec<u8> = batch.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A run that was begun by an earlier version goes on with the same pictures.
#[test]
fn draws_are_those_of_earlier_versions() {
    let hashes = [
        "c8ad13bf04861d421f1650480dd8a9e40ba82d367c18ec589a73226e0f2bc074",
        "e53cff366e2ad3dd2bdb1f0366025c3ba8580116cc7f9ffab17fbc0f327845f4",
        "2fd0fadb29b16fcc2f1c6b33bd5603bbd7245a6101c1b1b47c837dc338ad25e2",
        "afa59b0176623a84f25680c14a7b1fad448b16048b689fd4a407a33337135f84",
    ];
    assert_eq!(AUGMENTS.map(hash), hashes);
}

/// Where an augmented picture came from: the shift and whether it is mirrored.
fn shift_of(out: &[f32], picture: &Picture<'_>) -> Option<(isize, isize, bool)> {
    let (height, width) = (picture.height() as isize, picture.width() as isize);
    let at = |y: isize, x: isize| {
        let inside = (0..height).contains(&y) && (0..width).contains(&x);
        if inside { picture.pixels()[(y * width + x) as usize] } else { 0 }
    };
    let matches = |&(top, left, flip): &(isize, isize, bool)| {
        (0..height * width).all(|i| {
            let (y, x) = (i / width, i % width);
            close(out[i as usize], at(y + top, if flip { width - 1 - x } else { x } + left))
        })
    };
    let shifts = (-4..=4).flat_map(|top| (-4..=4).flat_map(move |left| [(top, left, false), (top, left, true)]));
    shifts.into_iter().find(matches)
}

/// Every crop of the padded picture is drawn, black margin and all, mirrored about half the time.
#[test]
fn crop_flip_shifts_by_up_to_four_and_mirrors() {
    let split = noise(1, 12, 12, 1);
    let picture = split.picture(0).unwrap();
    let (mut seen, mut mirrored) = (HashSet::new(), 0);
    for seed in 0..2000 {
        let out = fill(&split, &[0], &raw(12, 1), Augment::CropFlip, seed);
        let (top, left, flip) = shift_of(&out, &picture).expect("a shift explains every pixel");
        seen.insert((top, left));
        mirrored += usize::from(flip);
    }
    assert_eq!(seen.len(), 81);
    assert!((900..1100).contains(&mirrored), "{mirrored} of 2000 mirrored");
}

#[test]
fn flip_mirrors_and_nothing_else() {
    let split = noise(1, 6, 6, 1);
    let picture = split.picture(0).unwrap();
    let shifts: HashSet<_> =
        (0..40).map(|seed| shift_of(&fill(&split, &[0], &raw(6, 1), Augment::Flip, seed), &picture).unwrap()).collect();
    assert_eq!(shifts, HashSet::from([(0, 0, false), (0, 0, true)]));
}

/// A ramp tells which part of the picture was taken.
#[test]
fn resized_crop_takes_parts_of_the_published_areas_and_shapes() {
    let (height, width) = (100usize, 200usize);
    let pixels = (0..height * width).flat_map(|i| [(i % width) as u8, (i / width) as u8, 0]).collect();
    let split = Split::in_memory(Path::new("ramp"), [height, width, 3], pixels, vec![0], vec!["one".into()]).unwrap();
    let (mut smallest, mut largest) = (f32::MAX, 0f32);
    for seed in 0..500 {
        let out = fill(&split, &[0], &raw(64, 3), Augment::ResizedCrop, seed);
        let row = &out[32 * 64..][..64];
        let column: Vec<f32> = (0..64).map(|y| out[64 * 64 + y * 64 + 32]).collect();
        // 62 steps of a 64th each, the ends left out since the filter bends there.
        let (across, down) = ((row[62] - row[1]).abs() * 64.0 / 61.0, (column[62] - column[1]) * 64.0 / 61.0);
        let shape = across / down;
        assert!((0.7..1.43).contains(&shape), "{across} by {down}");
        let area = across * down / (height * width) as f32;
        smallest = smallest.min(area);
        largest = largest.max(area);
    }
    assert!((0.07..0.10).contains(&smallest), "smallest part {smallest}");
    // 100 by 133 of 100 by 200 is the most that the shape allows.
    assert!((0.6..0.69).contains(&largest), "largest part {largest}");
}

#[test]
fn named_preprocessings_hold_and_travel_as_json() {
    for name in densenet::data::PREPROCESSINGS {
        let named = Preprocessing::named(name).unwrap();
        named.validate().unwrap();
        let text = serde_json::to_string(&named).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), named, "{text}");
    }
    let message = Preprocessing::named("imagnet").unwrap_err().to_string();
    assert!(message.contains("\"imagnet\"; choose from imagenet, cifar10"), "{message}");
}

#[test]
fn another_size_and_other_channels_keep_the_rest() {
    let imagenet = Preprocessing::named("imagenet").unwrap();
    let small = imagenet.with_size(96);
    assert_eq!((small.size, small.resized_side(), small.channels()), (96, 109, 3));
    let grey = imagenet.with_channels(1);
    assert_eq!(grey.channels(), 1);
    assert!((grey.mean[0] - 0.458971).abs() < 1e-6, "{:?}", grey.mean);
    let rgb = Preprocessing::named("mnist").unwrap().with_size(96).with_channels(3);
    assert_eq!((rgb.resize, rgb.mean), (Resize::Squash, vec![0.1307; 3]));
}

#[test]
fn values_that_no_picture_can_go_through_are_refused() {
    let good = Preprocessing::named("imagenet").unwrap();
    let cases = [
        (Preprocessing { size: 0, ..good.clone() }, "size is 0; it must be from 1"),
        (Preprocessing { size: 9000, ..good.clone() }, "size is 9000"),
        (good.clone().with_short_side(100), "crop_fraction is 2.24; it must be above 0 and at most 1"),
        (Preprocessing { crop_fraction: 1e-9, ..good.clone() }, "needs a side of 224000000000 pixels"),
        (Preprocessing { value_range: [1.0, 0.0], ..good.clone() }, "black must be below white"),
        (Preprocessing { mean: vec![124.0; 3], ..good.clone() }, "it must be in the value_range, 0 to 1"),
        (Preprocessing { mean: vec![0.0; 2], std: vec![1.0; 2], ..good.clone() }, "2 means and 2 deviations"),
        (Preprocessing { std: vec![1.0], ..good.clone() }, "3 means and 1 deviations"),
        (Preprocessing { std: vec![0.2, 0.0, 0.2], ..good.clone() }, "it must be above 0"),
        (Preprocessing { mean: vec![f32::NAN; 3], ..good.clone() }, "it must be finite"),
    ];
    for (preprocessing, expected) in cases {
        let message = preprocessing.validate().unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

proptest! {
    /// A picture of any shape, however much smaller than what is cropped from it, fills every element.
    #[test]
    fn any_shape_fills_any_size(
        height in 1usize..70,
        width in 1usize..70,
        channels in prop::sample::select(vec![1usize, 3]),
        size in 1usize..50,
        margin in prop::option::of(0usize..9),
        which in 0usize..5,
        seed in any::<u64>(),
    ) {
        let split = noise(2, height, width, channels);
        let preprocessing = margin.map_or(raw(size, channels), |m| raw(size, channels).with_short_side(size + m));
        let out = fill(&split, &[1, 0], &preprocessing, augmentations()[which], seed);
        prop_assert!(out.iter().all(|v| (-0.01..255.01).contains(v)));
    }
}

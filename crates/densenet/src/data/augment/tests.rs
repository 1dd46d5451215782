//! Pixels against torchvision's, from `tests/goldens/augment.py`, and the distributions of random values.

use std::collections::HashSet;
use std::path::Path;

use ndarray::{Array2, Array4, Axis};
use safetensors::SafeTensors;

use super::rand_augment::Op;
use super::*;
use crate::data::Picture;

/// The goldens' bytes.
fn goldens() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/augment.safetensors")).unwrap()
}

/// Torchvision's operation `name` at `value`: a signed magnitude for RandAugment, a factor for ColorJitter.
fn apply(name: &str, value: f64, picture: &mut Picture<'_>) {
    match name {
        "picture" => {}
        "brightness" => colour::brightness(picture, value),
        "contrast" => colour::contrast(picture, value),
        "saturation" => colour::saturation(picture, value),
        "sharpness" => colour::sharpness(picture, value),
        "hue" => colour::hue(picture, value),
        _ => {
            let op = Op::ALL.into_iter().find(|op| format!("{op:?}") == name).unwrap();
            op.apply(picture, value.abs() as usize, value.signum());
        }
    }
}

#[test]
fn pixels_are_torchvisions() {
    let bytes = goldens();
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let picture = |name: &str| {
        let tensor = goldens.tensor(name).unwrap();
        Picture::new(tensor.shape()[0], tensor.shape()[1], tensor.shape()[2], tensor.data().to_vec()).unwrap()
    };
    let mut unequal = Vec::new();
    for name in goldens.names() {
        let (mode, operation) = name.split_once('/').unwrap();
        let (kind, value) = operation.split_once(':').unwrap_or((operation, "0"));
        let mut ours = picture(&format!("{mode}/picture"));
        apply(kind, value.parse().unwrap(), &mut ours);
        let theirs = picture(name);
        let differences = ours.pixels().iter().zip(theirs.pixels()).filter(|(a, b)| a != b).count();
        if differences > 0 {
            unequal.push(format!("{name}: {differences} of {}", ours.pixels().len()));
        }
    }
    assert_eq!(goldens.len(), 2 * 83);
    assert!(unequal.is_empty(), "{unequal:?}");
}

#[test]
fn words_of_earlier_versions_and_partial_fields_are_read() {
    let read = |text: &str| serde_json::from_str::<Augmentation>(text).map_err(|error| error.to_string());
    let flip = Augmentation::from(Augment::Flip);
    assert_eq!(read("\"flip\""), Ok(flip));
    assert_eq!(read(r#"{"base": "flip"}"#), Ok(flip));
    let rand_augment = RandAugment { ops: 2, ..RandAugment::default() };
    let color_jitter = ColorJitter { hue: 0.1, ..ColorJitter::default() };
    let more = Augmentation { rand_augment, color_jitter, mixup: 0.2, ..flip };
    let text = r#"{"base": "flip", "rand_augment": {"ops": 2}, "color_jitter": {"hue": 0.1}, "mixup": 0.2}"#;
    assert_eq!(read(text), Ok(more));
    assert_eq!(read(&serde_json::to_string(&more).unwrap()), Ok(more));
    for (text, part) in [("\"turn\"", "resized-crop"), ("{\"mix\": 1}", "mixup"), ("3", "a word (none, flip")] {
        let error = read(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn values_that_no_picture_can_go_through_are_refused() {
    let plain = Augmentation::default();
    plain.validate().unwrap();
    let jitter = |brightness, hue| ColorJitter { brightness, hue, ..ColorJitter::default() };
    for (wrong, message) in [
        (Augmentation { crop_padding: 2000, ..plain }, "crop_padding is 2000; it must be from 0 to 1024 pixels"),
        (Augmentation { crop_scale: 0.0, ..plain }, "crop_scale is 0; it must be above 0 and at most 1"),
        (
            Augmentation { color_jitter: jitter(-0.1, 0.0), ..plain },
            "color_jitter.brightness is -0.1; it must be 0 or above",
        ),
        (Augmentation { color_jitter: jitter(0.0, 0.6), ..plain }, "color_jitter.hue is 0.6; it must be from 0 to 0.5"),
        (Augmentation { rand_augment: RandAugment { ops: 17, magnitude: 9 }, ..plain }, "rand_augment.ops is 17"),
        (
            Augmentation { rand_augment: RandAugment { ops: 2, magnitude: 31 }, ..plain },
            "magnitude is 31; it must be from 0 to 30",
        ),
        (Augmentation { random_erasing: f64::NAN, ..plain }, "random_erasing is NaN; it must be from 0 to 1"),
        (Augmentation { mixup: 0.001, ..plain }, "mixup is 0.001; it must be 0 or from 0.01 to 100"),
        (Augmentation { cutmix: f64::INFINITY, ..plain }, "cutmix is inf"),
    ] {
        let error = wrong.validate().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn jitter_draws_uniformly_and_in_every_order() {
    let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 2.0, hue: 0.1 };
    let (mut orders, mut amounts) = (HashSet::new(), [const { Vec::new() }; 4]);
    for index in 0..2000 {
        let drawn = jitter.drawn(&mut draws(3, index));
        orders.insert(drawn.iter().map(|(change, _)| *change).collect::<Vec<_>>());
        drawn.into_iter().for_each(|(change, amount): (usize, f64)| amounts[change].push(amount));
    }
    assert_eq!(orders.len(), 24);
    for (amounts, [least, most]) in amounts.iter().zip([[0.6, 1.4], [0.6, 1.4], [0.0, 3.0], [-0.1, 0.1]]) {
        let mean = amounts.iter().sum::<f64>() / 2000.0;
        assert!((mean - (least + most) / 2.0).abs() < 0.03 * (most - least), "mean {mean} from {least} to {most}");
        assert!(amounts.iter().all(|amount| (least..=most).contains(amount)));
        let lower = amounts.iter().filter(|amount| **amount < least + 0.25 * (most - least)).count();
        assert!((430..570).contains(&lower), "{lower} of 2000 in the lowest quarter from {least} to {most}");
    }
}

#[test]
fn what_is_not_asked_for_does_not_jitter() {
    let contrast = ColorJitter { contrast: 0.5, ..ColorJitter::default() };
    assert!((0..20).all(|index| matches!(contrast.drawn(&mut draws(0, index))[..], [(1, _)])));
}

#[test]
fn rand_augment_draws_every_operation() {
    let (picture, one) = (Picture::new(20, 20, 1, ramp(400)).unwrap(), RandAugment { ops: 1, magnitude: 15 });
    let outcomes: HashSet<Vec<u8>> = (0..500)
        .map(|index| {
            let mut changed = picture.clone();
            one.apply(&mut changed, &mut draws(1, index));
            changed.pixels().to_vec()
        })
        .collect();
    let mut possible = HashSet::new();
    for (op, sign) in Op::ALL.into_iter().flat_map(|op| [(op, 1.0), (op, -1.0)]) {
        let mut changed = picture.clone();
        op.apply(&mut changed, 15, sign);
        possible.insert(changed.pixels().to_vec());
    }
    assert_eq!(outcomes, possible);
}

fn ramp(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 37 % 200 + 20) as u8).collect()
}

/// The share of each erased rectangle, and how many lie at the edges.
#[test]
fn erasing_takes_the_published_areas() {
    let size = 50;
    let erased: Vec<Vec<bool>> = (0..500)
        .map(|index| {
            let mut image = vec![1.0; 2 * size * size];
            erasing::erase(&mut image, size, &mut draws(2, index));
            let (first, second) = image.split_at(size * size);
            assert_eq!(first, second, "all channels alike");
            first.iter().map(|&value| value == 0.0).collect()
        })
        .collect();
    let area = |image: &Vec<bool>| image.iter().filter(|&&erased| erased).count() as f64 / (size * size) as f64;
    let areas: Vec<f64> = erased.iter().map(area).collect();
    assert!(areas.iter().all(|area| (0.015..0.345).contains(area)));
    let mean = areas.iter().sum::<f64>() / 500.0;
    assert!((mean - 0.175).abs() < 0.015, "mean area {mean}");
    for (edge, row) in [("top", 0), ("bottom", size - 1)] {
        let reaching = erased.iter().filter(|image| image[row * size..][..size].contains(&true)).count();
        assert!((5..60).contains(&reaching), "{reaching} of 500 at the {edge}");
    }
}

#[test]
fn erasing_happens_as_often_as_it_is_asked_for() {
    let split = crate::data::Split::in_memory(
        Path::new("white"),
        [8, 8, 1],
        vec![255; 8 * 8 * 1000],
        vec![0; 1000],
        vec!["one".into()],
    );
    let (split, preprocessing) = (split.unwrap(), crate::data::Preprocessing::new(8, [0.0], [1.0]));
    let augmentation = Augmentation { random_erasing: 0.25, ..Augmentation::default() };
    let mut out = vec![0.0; 64 * 1000];
    split.fill(&(0..1000).collect::<Vec<_>>(), &preprocessing, augmentation, 5, &mut out).unwrap();
    let erased = out.chunks_exact(64).filter(|image| image.contains(&0.0)).count();
    assert!((200..300).contains(&erased), "{erased} of 1000");
}

/// A batch of `count` images, where all values of image `i` are `i`, and its targets, each of another class.
fn batch(count: usize, side: usize) -> (Array4<f32>, Array2<f32>) {
    (Array4::from_shape_fn((count, 3, side, side), |(i, ..)| i as f32), Array2::eye(count))
}

#[test]
fn mixup_mixes_neighbours_and_targets_alike() {
    let mixup = Augmentation { mixup: 0.4, ..Augmentation::default() };
    let mut shares = Vec::new();
    for seed in 0..1000 {
        let (mut images, mut targets) = batch(4, 2);
        mixup.mix(&mut images, &mut targets, seed);
        let share = targets[[0, 0]];
        for (i, (image, target)) in images.axis_iter(Axis(0)).zip(targets.rows()).enumerate() {
            let before = (i + 3) % 4;
            assert!((target[i] - share).abs() < 1e-6 && (target[before] - (1.0 - share)).abs() < 1e-6);
            let expected = share * i as f32 + (1.0 - share) * before as f32;
            assert!(image.iter().all(|value| (value - expected).abs() < 1e-5), "{image} for {expected}");
        }
        shares.push(f64::from(share));
    }
    let mean = shares.iter().sum::<f64>() / 1000.0;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 1000.0;
    // Of Beta(a, a) the mean is 1/2 and the variance 1 / (4 (2 a + 1)).
    assert!((mean - 0.5).abs() < 0.04, "mean {mean}");
    assert!((variance - 1.0 / 7.2).abs() < 0.015, "variance {variance}");
}

#[test]
fn cutmix_mixes_targets_by_the_area_that_was_pasted() {
    let cutmix = Augmentation { cutmix: 1.0, ..Augmentation::default() };
    let mut mean = 0.0;
    for seed in 0..500 {
        let (mut images, mut targets) = batch(3, 10);
        cutmix.mix(&mut images, &mut targets, seed);
        for (i, image) in images.axis_iter(Axis(0)).enumerate() {
            let own = image.iter().filter(|&&value| value == i as f32).count() as f32 / 300.0;
            let before = (i + 2) % 3;
            assert!(image.iter().all(|&value| value == i as f32 || value == before as f32));
            assert!((targets[[i, i]] - own).abs() < 1e-6 && (targets[[i, before]] - (1.0 - own)).abs() < 1e-6);
            mean += f64::from(own) / 1500.0;
        }
    }
    // Half of the area would be pasted if no rectangle were clipped at an edge and sides were not rounded down.
    assert!((0.55..0.75).contains(&mean), "mean share {mean}");
}

#[test]
fn a_coin_chooses_between_mixup_and_cutmix() {
    let both = Augmentation { mixup: 1.0, cutmix: 1.0, ..Augmentation::default() };
    let cut = (0..500).filter(|&seed| {
        let (mut images, mut targets) = batch(2, 16);
        both.mix(&mut images, &mut targets, seed);
        images.iter().all(|value| value.fract() == 0.0)
    });
    let cut = cut.count();
    assert!((200..300).contains(&cut), "{cut} of 500 cut");
}

#[test]
fn what_is_not_known_stays_so_in_a_mixture() {
    let targets = Array2::from_shape_vec((2, 2), vec![f32::NAN, 1.0, 0.0, f32::NAN]).unwrap();
    let shares = [(0.25, [true, true]), (1.0, [true, false]), (0.0, [false, true])];
    for (share, unknown) in shares {
        let mut mixed = targets.clone();
        mixing::blend(&mut mixed, share);
        assert_eq!(mixed.row(0).map(|value| value.is_nan()).to_vec(), unknown, "{share}");
    }
}

#[test]
fn nothing_is_mixed_unless_it_is_asked_for() {
    let (mut images, mut targets) = batch(3, 2);
    Augmentation::from(Augment::ResizedCrop).mix(&mut images, &mut targets, 1);
    assert_eq!((images, targets), batch(3, 2));
}

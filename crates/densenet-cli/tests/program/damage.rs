//! Data, weights and inputs that are not what they should be.

use std::fs;
use std::path::Path;

use crate::fashion::{TRAIN, World, bmp, idx_header, npy};
use crate::folder::golden;

#[test]
fn weights_that_are_not_numbers_are_warned_of() {
    let world = World::new();
    let mut bytes = fs::read(golden("checkpoints/torchvision.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(world.path("nan.safetensors"), bytes).unwrap();
    let (code, _, err) = world.run("info nan.safetensors");
    assert!(code == Some(0) && err.contains("warning: nan.safetensors: values that are not finite in "), "{err}");
}

/// What is wrong, how it comes about, and what the error says.
type Broken = (&'static str, fn(&World), &'static [&'static str]);

#[test]
fn data_that_is_not_what_it_should_be() {
    let broken: [Broken; 7] = [
        ("truncated", |w| cut(&w.idx("train")[0]), &["train-images-idx3-ubyte"]),
        (
            "corrupt gzip",
            |w| fs::write(&w.idx("train")[0], b"\x1f\x8b\x08\0\0\0\0\0\0\0broken").unwrap(),
            &["train-images"],
        ),
        ("magic", |w| patch(&w.idx("train")[0], 3, 9), &["train-images-idx3-ubyte", "magic"]),
        ("counts", |w| w.idx("t10k").iter().skip(1).for_each(|p| labels(p, &[1; 19])), &["t10k", "20", "19"]),
        ("label", |w| patch(&w.idx("train")[1], 8, 200), &["label 200"]),
        ("empty", |w| w.write_set("train", 0), &["train"]),
        ("missing", |w| fs::remove_file(&w.idx("t10k")[1]).unwrap(), &["t10k-labels"]),
    ];
    for (what, breaks, parts) in broken {
        let world = World::new();
        breaks(&world);
        println!("{what}");
        world.fails(&format!("{TRAIN} --out run"), 1, parts);
        assert!(!world.path("run").exists(), "{what}");
    }
    World::new().fails("train --model seed --data nowhere", 1, &["nowhere", "fashion-mnist"]);
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 100]).unwrap();
}

fn patch(path: &Path, at: usize, value: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] = value;
    fs::write(path, bytes).unwrap();
}

fn labels(path: &Path, labels: &[u8]) {
    fs::write(path, [&idx_header(2049, &[labels.len() as u32]), labels].concat()).unwrap();
}

#[test]
fn weights_and_inputs_that_are_not_what_they_should_be() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 1 --out run"));
    world.fails("info missing.safetensors", 1, &["missing.safetensors: no such file"]);
    world.fails("info ./missing", 1, &["./missing: no such file"]);
    world.fails("info fashion-mnist/", 1, &["fashion-mnist/: a folder; a weight file is needed"]);
    world.fails("info run", 1, &["run: a folder; run/last.safetensors is a weight file in it"]);
    world.fails("predict --weights run a.bmp", 1, &["run: a folder; run/last.safetensors is a weight file in it"]);
    world.fails("eval --weights none.safetensors --data ./fashion-mnist", 1, &["none.safetensors"]);
    let other = "train --model densenet-40-12 --data ./fashion-mnist --size 8 --init run/last.safetensors --out other";
    world.fails(other, 1, &["missing (", "unexpected (", "of another shape", "features.conv0.weight", "norm2.bias"]);
    fs::write(world.path("broken.bmp"), b"BM but no picture").unwrap();
    fs::write(world.path("text.jpg"), b"hello").unwrap();
    fs::write(world.path("huge.bmp"), bmp(60_000, 60_000, 0)).unwrap();
    fs::write(world.path("flat.npy"), npy("3, 64", 192)).unwrap();
    fs::write(world.path("short.npy"), npy("900000000, 1, 8, 8", 70)).unwrap();
    fs::write(world.path("rgb.npy"), npy("1, 3, 8, 8", 192)).unwrap();
    let mut nan = npy("1, 1, 8, 8", 64);
    nan.splice(128..132, f32::NAN.to_le_bytes());
    fs::write(world.path("nan.npy"), nan).unwrap();
    fs::create_dir(world.path("empty")).unwrap();
    for (input, part) in [
        ("broken.bmp", "picture"),
        ("text.jpg", "not a picture"),
        ("huge.bmp", "pixels"),
        ("flat.npy", "N,C,H,W"),
        ("short.npy", "cut off"),
        ("rgb.npy", "N,1,H,W"),
        ("nan.npy", "not finite"),
        ("empty", "no pictures"),
        ("missing.png", "No such file"),
    ] {
        let (code, _, err) = world.run(&format!("predict --weights run/last.safetensors {input}"));
        assert_eq!(code, Some(1), "{input}: {err}");
        assert!(err.contains(input) && err.contains(part) && !err.contains("panicked"), "{input}: {err}");
    }
    cut(&world.path("run/last.safetensors"));
    world.fails(
        "eval --weights run/last.safetensors --data ./fashion-mnist",
        1,
        &["last.safetensors", "not a sound safetensors file"],
    );
    cut(&world.path("run/resume.safetensors"));
    world.fails("train --resume run", 1, &["resume.safetensors", "not a sound safetensors file"]);
    world.fails("train --resume fashion-mnist", 1, &["resume.safetensors"]);
}

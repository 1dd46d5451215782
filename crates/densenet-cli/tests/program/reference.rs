//! References to training pictures: how they come into weight files, and what is said with them.

use std::fs;
use std::ops::ControlFlow;

use densenet::DenseNet;
use densenet::data::{DataSet, Picture, Split};
use densenet::novelty::scores::Separation;
use densenet::novelty::{Scores, scores_of};
use densenet_kernels::random::Stream;
use serde_json::{Value, json};

use crate::fashion::{TRAIN, World, bmp};
use crate::server::Server;

/// Trained with a validation part.
const DIVIDED: &str = "train --model densenet-bc-40-12 --data ./fashion-mnist --size 8 --batch 8 --threads 1 \
                       --val-fraction 0.25 --epochs 2 --out run";

const PICTURES: [&str; 3] = ["dark.bmp", "light.bmp", "half.bmp"];

/// A folder with [`PICTURES`] in `p`: two as they are trained on, and one that is none of them.
fn world() -> World {
    let world = World::new();
    fs::create_dir(world.path("p")).unwrap();
    let mut half = bmp(28, 28, 0);
    let pixels = half.len() - 3 * 28 * 28;
    half[pixels..].chunks_exact_mut(2).for_each(|pair| pair[0] = 255);
    for (name, file) in PICTURES.into_iter().zip([bmp(28, 28, 30), bmp(28, 28, 200), half]) {
        world.write(&format!("p/{name}"), file);
    }
    world
}

/// What the library says of each of [`PICTURES`]: how far it is in units of the reach, and whether it is marked.
fn expected(world: &World, weights: &str) -> Vec<(f64, bool)> {
    let (network, card) = DenseNet::load(world.path(weights)).unwrap();
    let pictures: Vec<Picture<'_>> =
        PICTURES.iter().map(|name| Picture::open(world.path(&format!("p/{name}"))).unwrap()).collect();
    let images = card.preprocessing().unwrap().batch(&pictures).unwrap();
    let reference = network.reference().unwrap();
    let distances = reference.distances(network.pooled(images.view()).unwrap().view());
    distances.iter().map(|found| (reference.relative(found), reference.is_unlike(found))).collect()
}

fn inputs() -> String {
    PICTURES.map(|name| format!("p/{name}")).join(" ")
}

#[test]
fn training_keeps_a_reference_and_predictions_tell_distances() {
    let world = world();
    world.done(DIVIDED);
    let expected = expected(&world, "run/best.safetensors");
    assert!(expected.iter().any(|(_, unlike)| *unlike), "{expected:?}");
    let predict = format!("predict --weights run/best.safetensors --threads 1 {}", inputs());
    for options in ["", "--map maps"] {
        let told = world.object(&format!("{predict} --json {options}"));
        for (told, (relative, unlike)) in told["predictions"].as_array().unwrap().iter().zip(&expected) {
            assert_eq!((&told["distance"], &told["unlike"]), (&(*relative).into(), &(*unlike).into()), "{told}");
            assert!(told["distances"]["mahalanobis"].as_f64().unwrap() > 0.0, "{told}");
        }
    }
    for (line, (relative, unlike)) in world.done(&predict).lines().zip(&expected) {
        let end = if *unlike { ", unlike the training pictures" } else { "" };
        assert!(line.ends_with(&format!(" %; distance {relative:.2}{end}")), "{line}");
    }
    world.done(&format!("{predict} --out t.csv --top 1"));
    let table = world.text("t.csv");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "path,label,probability,distance,unlike");
    assert!(rows[1..].iter().zip(&expected).all(|(row, (_, unlike))| row.ends_with(&format!(",{unlike}"))), "{table}");
    let mut info = world.object("info run/best.safetensors --json");
    let mut config = info["card"]["config"].take();
    config["final_relu"] = false.into();
    fs::write(world.path("card.json"), json!({ "config": config }).to_string()).unwrap();
    for other in ["--weights run/last.safetensors", "--head-pool max", "--card card.json"] {
        let told = world.object(&format!("{predict} {other} --json"));
        assert!(told["predictions"][0].get("unlike").is_none(), "{other}: {told}");
    }
}

#[test]
fn built_in_models_mark_noise() {
    let world = world();
    let random = Stream::new(3, 0);
    let noise = (0..3 * 32 * 32).map(|at| (255.0 * random.uniform(at)) as u8).collect();
    world.write("noise.ppm", [b"P6 32 32 255\n".to_vec(), noise].concat());
    let cat = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/pictures/cat.jpg");
    for (model, picture, unlike) in
        [("cifar10", "noise.ppm", true), ("fashion-mnist", "noise.ppm", true), ("cifar10", cat, false)]
    {
        let told = world.object(&format!("predict --weights {model} {picture} --json"));
        assert_eq!(told["predictions"][0]["unlike"], unlike, "{model}: {told}");
    }
}

#[test]
fn a_server_tells_distances() {
    let world = world();
    world.done(DIVIDED);
    let expected = expected(&world, "run/best.safetensors");
    let pictures = PICTURES.map(|name| fs::read(world.path(&format!("p/{name}"))).unwrap());
    let server = Server::start_in(world.into_folder(), "--weights run/best.safetensors --threads 1");
    for (picture, (relative, unlike)) in pictures.iter().zip(expected) {
        let (status, told) = server.post("/predict", picture);
        assert_eq!((status, &told["distance"], &told["unlike"]), (200, &relative.into(), &unlike.into()), "{told}");
        assert!(told["distances"]["neighbour"].as_f64().unwrap() > 0.0, "{told}");
    }
}

#[test]
fn weights_of_any_kind_get_a_reference() {
    let world = world();
    world.done(&format!("{TRAIN} --max-steps 8 --out run"));
    let weights = "run/best.safetensors";
    let json = format!("--threads 1 --json {}", inputs());
    assert!(world.object(&format!("predict --weights {weights} {json}"))["predictions"][0].get("unlike").is_none());
    world.done(&format!("quantize --weights {weights} --data ./fashion-mnist --out q.safetensors"));
    for (weights, out) in [(weights, "r.safetensors"), ("q.safetensors", "qr.safetensors")] {
        let words = format!("reference --weights {weights} --data ./fashion-mnist --out {out} --threads 1");
        let told = world.object(&format!("{words} --json"));
        assert_eq!((&told["origin"]["pictures"], &told["origin"]["held_out"]), (&40.into(), &20.into()), "{told}");
        let found = world.object(&format!("predict --weights {out} {json}"));
        let distances: Vec<f64> = expected(&world, out).into_iter().map(|(relative, _)| relative).collect();
        for (told, relative) in found["predictions"].as_array().unwrap().iter().zip(distances) {
            assert_eq!(told["distance"], relative, "{told}");
        }
        let loss = |weights: &str| {
            world.object(&format!("eval --weights {weights} --data ./fashion-mnist --threads 1 --json"))["loss"].clone()
        };
        assert_eq!(loss(weights), loss(out));
    }
    world.done("export --weights r.safetensors --format torchvision --out t.safetensors");
    let plain = fs::read(world.path("t.safetensors")).unwrap();
    assert!(!plain.windows(10).any(|bytes| bytes == b"reference."));
    world.done("export --weights r.safetensors --format densenet --licence MIT --out again.safetensors");
    assert_eq!(expected(&world, "again.safetensors"), expected(&world, "r.safetensors"));
}

#[test]
fn the_reference_of_another_network_is_refused_and_can_be_replaced() {
    let world = world();
    world.done(DIVIDED);
    let mut bytes = fs::read(world.path("run/best.safetensors")).unwrap();
    // The lowest bit of the first weight.
    let first = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[first] ^= 1;
    world.write("other.safetensors", bytes);
    let reason =
        "other.safetensors: its reference to training pictures is from another network; make one with densenet";
    world.fails("predict --weights other.safetensors p/dark.bmp", 1, &[reason]);
    world.done("info other.safetensors");
    world.done("reference --weights other.safetensors --data ./fashion-mnist --out mended.safetensors");
    world.done("predict --weights mended.safetensors p/dark.bmp");
}

#[test]
fn pictures_of_other_sets_are_told_from_those_of_the_data() {
    let world = world();
    world.done(DIVIDED);
    let eval = "eval --data ./fashion-mnist --threads 1 --weights run/best.safetensors";
    let told = world.object(&format!("{eval} --unlike p,./fashion-mnist --json"));
    let [p, same] = [0, 1].map(|i| told["unlike"][i].clone());
    assert_eq!((&p["data"], &p["pictures"], &same["pictures"]), (&"p".into(), &3.into(), &20.into()), "{told}");
    let marked = expected(&world, "run/best.safetensors").iter().filter(|(_, unlike)| *unlike).count();
    assert_eq!(p["marked"], marked as f64 / 3.0);
    assert_eq!(same["marked"], same["own_marked"]);
    let names: Vec<&str> = p["scores"].as_array().unwrap().iter().map(|row| row["score"].as_str().unwrap()).collect();
    assert_eq!(names, ["nearest neighbour", "Mahalanobis", "energy", "maximum softmax"]);
    // Pictures are told from themselves as often as not.
    assert!(same["scores"].as_array().unwrap().iter().all(|row| row["auroc"] == 0.5), "{same}");
    let text = world.done(&format!("{eval} --unlike p"));
    assert!(text.contains("\n3 pictures of p; ") && text.contains("FPR at 95 % TPR"), "{text}");
    world.fails(&format!("{eval} --weights run/last.safetensors --unlike p"), 2, &["--unlike takes one weight file"]);
    world.fails(&format!("{eval} --unlike nothing"), 1, &["nothing"]);
}

#[test]
fn without_a_reference_only_what_the_network_says_is_compared() {
    let world = world();
    world.done(&format!("{TRAIN} --max-steps 8 --out run"));
    let eval = "eval --data ./fashion-mnist --threads 1 --weights run/best.safetensors --unlike p";
    let (out, err) = world.exits(0, &format!("{eval} --json"));
    assert!(err.contains("keeps no reference to its training pictures") && err.contains("densenet reference"), "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["unlike"][0]["marked"], Value::Null);
    let (network, card) = DenseNet::load(world.path("run/best.safetensors")).unwrap();
    let scored = |split: &Split| {
        scores_of(&network, split, card.preprocessing().unwrap(), |_| ControlFlow::Continue(())).unwrap().unwrap()
    };
    let files = PICTURES.iter().map(|name| world.path("p").join(name)).collect();
    let other = Split::of_files(&world.path("p"), files, vec![0; 3], vec!["picture".into()]).unwrap();
    let (like, other) = (scored(&DataSet::read(world.path("fashion-mnist")).unwrap().test), scored(&other));
    let separation = |of: fn(&Scores) -> f64| {
        let all = |scores: &[Scores]| scores.iter().map(of).collect::<Vec<f64>>();
        Separation::new(&all(&like), &all(&other))
    };
    let rows = [("energy", separation(|s| s.energy)), ("maximum softmax", separation(|s| s.softmax))];
    let expected = rows.map(|(score, s)| json!({ "score": score, "auroc": s.auroc, "fpr95": s.fpr95 }));
    assert_eq!(told["unlike"][0]["scores"], json!(expected));
}

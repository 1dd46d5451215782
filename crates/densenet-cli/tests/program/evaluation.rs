//! Evaluation and averaged networks, from end to end.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::folder::Folder;

/// A folder of four pictures of each of seven classes, and a network of seven classes for 16x16.
struct World(Folder);

works_in_its_folder!(World);

const CLASSES: usize = 7;

impl World {
    fn new() -> Self {
        let world = Self(Folder::new());
        for class in 0..CLASSES {
            fs::create_dir_all(world.path(&format!("set/c{class}"))).unwrap();
            (0..4).for_each(|i| world.picture(&format!("set/c{class}/{i}.ppm"), 31 * class + 7 * i));
        }
        world
    }

    /// A picture of 20x24 that slopes from left to right.
    fn picture(&self, name: &str, seed: usize) {
        let pixels = (0..20 * 24 * 3).map(|i| ((i % 72) * (seed % 3 + 1) + seed) as u8);
        let file = b"P6 24 20 255\n".iter().copied().chain(pixels).collect::<Vec<u8>>();
        fs::write(self.path(name), file).unwrap();
    }

    /// What words print with `--json`.
    fn json(&self, words: &str) -> Value {
        self.object(&format!("{words} --json"))
    }
}

fn kind(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/kinds").join(name)
}

const PREPARED: &str = "--mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --size 16";

fn weights(name: &str) -> String {
    format!("--weights {} {PREPARED}", kind(name).display())
}

#[test]
fn an_evaluation_tells_all_its_figures() {
    let world = World::new();
    let words = format!("eval {} --data set", weights("head-sigmoid.pth"));
    let found = world.json(&words);
    for name in ["top1", "top5", "loss", "auc", "average_precision", "precision", "recall", "f1", "brier", "ece"] {
        assert!(found[name].is_number(), "{name}: {found}");
    }
    assert_eq!((&found["images"], &found["temperature"]), (&28.into(), &1.0.into()));
    for (name, count) in [("per_class", CLASSES), ("confusion", CLASSES), ("labels", CLASSES), ("calibration", 15)] {
        assert_eq!(found[name].as_array().map(Vec::len), Some(count), "{name}: {found}");
    }
    for name in ["top1", "auc", "loss"] {
        let end = |end: usize| found["intervals"][name][end].as_f64().unwrap();
        assert!(end(0) <= found[name].as_f64().unwrap() && found[name].as_f64().unwrap() <= end(1), "{name}: {found}");
    }
    assert_eq!(found, world.json(&format!("{words} --threads 1 --batch 5")));
    let text = world.exits(0, &format!("{words} --show 2")).0;
    for part in
        [" [95 %: ", "\nmean ROC-AUC ", "\ncalibration error ", "class  precision", "true \\ predicted", ", is c0"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A folder without parts is parted by the run, whose test pictures are those that the network has not seen.
#[test]
fn weights_of_a_run_are_evaluated_by_its_parts() {
    let world = World::new();
    world.exits(0, "train --model densenet-bc-16-4 --size 16 --epochs 1 --data set --out run --threads 1");
    let split = fs::read_to_string(world.path("run/split.csv")).unwrap();
    let eval = |words: &str| {
        let (out, err) = world.exits(0, &format!("eval --data set --json {words}"));
        (serde_json::from_str::<Value>(&out).unwrap()["images"].as_u64().unwrap() as usize, err)
    };
    for (part, words) in [("test", ""), ("val", "--part val"), ("train", "--part train")] {
        let (images, err) = eval(&format!("--weights run/best.safetensors,run/last.safetensors {words}"));
        assert_eq!(images, split.lines().filter(|line| line.ends_with(&format!(",{part}"))).count(), "{part}");
        assert!(err.contains(&format!("evaluating the {part} part in run/split.csv")), "{err}");
    }
    fs::copy(world.path("run/best.safetensors"), world.path("moved.safetensors")).unwrap();
    let (images, err) = eval("--weights moved.safetensors");
    assert!(images == 28 && err.contains("including those that the network was trained on"), "{images} {err}");
    let (images, err) = eval(&weights("head-sigmoid.pth"));
    assert!(images == 28 && !err.contains("trained on"), "{images} {err}");
}

/// What data hold out themselves is theirs, also what came since; the validation part is the run's.
#[test]
fn a_test_part_of_the_data_is_evaluated_as_it_is() {
    let world = World::new();
    fs::create_dir(world.path("parts")).unwrap();
    fs::rename(world.path("set"), world.path("parts/train")).unwrap();
    for class in 0..CLASSES {
        fs::create_dir_all(world.path(&format!("parts/test/c{class}"))).unwrap();
        world.picture(&format!("parts/test/c{class}/0.ppm"), 5 * class);
    }
    world.exits(0, "train --model densenet-bc-16-4 --size 16 --epochs 1 --data parts --out run --threads 1");
    world.picture("parts/test/c0/new.ppm", 3);
    let images =
        |part: &str| world.json(&format!("eval --weights run/best.safetensors --data parts {part}"))["images"].clone();
    assert_eq!(images(""), CLASSES + 1);
    let split = fs::read_to_string(world.path("run/split.csv")).unwrap();
    assert_eq!(images("--part val"), split.lines().filter(|line| line.ends_with(",val")).count());
}

#[test]
fn a_temperature_of_the_card_is_in_every_answer() {
    let world = World::new();
    fs::write(world.path("card.json"), r#"{"output":{"kind":"softmax","temperature":3.0}}"#).unwrap();
    let (weights, card) = (weights("head-sigmoid.pth"), "--card card.json");
    let [cold, warm] = ["", card].map(|card| world.json(&format!("eval {weights} --data set {card}")));
    assert_eq!((&cold["top1"], &cold["confusion"]), (&warm["top1"], &warm["confusion"]));
    assert!(cold["loss"] != warm["loss"] && warm["temperature"] == 3.0, "{warm}");
    assert!(world.exits(0, &format!("eval {weights} --data set {card}")).0.contains(" at temperature 3.000"));
    let [cold, warm] = ["", card].map(|card| {
        let found = world.json(&format!("predict {weights} set/c0/0.ppm --top 2 {card}"));
        let classes = &found["predictions"][0]["classes"];
        [0, 1].map(|rank| classes[rank]["probability"].as_f64().unwrap().ln())
    });
    assert!((cold[0] - cold[1] - 3.0 * (warm[0] - warm[1])).abs() < 1e-6, "{cold:?} {warm:?}");
    fs::write(world.path("card.json"), r#"{"output":{"kind":"softmax","temperature":-1}}"#).unwrap();
    let err = world.exits(2, &format!("eval {weights} --data set {card}")).1;
    assert!(err.contains("card.json") && err.contains("temperature is -1; it must be above 0"), "{err}");
}

#[test]
fn views_of_a_picture_are_averaged() {
    let world = World::new();
    let words = format!("eval {} --data set", weights("head-sigmoid.pth"));
    let plain = world.json(&words);
    let flipped = world.json(&format!("{words} --tta flip"));
    assert!(flipped["loss"] != plain["loss"] && flipped["images"] == 28, "{flipped}");
    let err = world.exits(2, &format!("{words} --tta flip,crops")).1;
    assert!(err.contains("every crop of 16x16 is the whole picture; a crop_fraction below 1"), "{err}");
    let cropped = world.json(&format!("{words} --tta flip,crops --crop-fraction 0.8"));
    assert!(cropped["loss"] != flipped["loss"], "{cropped}");
    assert!(world.exits(2, &format!("{words} --tta turn")).1.contains("turn"));
}

#[test]
fn several_networks_answer_together() {
    let world = World::new();
    let [first, second] = ["head-mlp.pth", "head-max.pth"].map(|name| kind(name).display().to_string());
    let probabilities = |weights: &str| {
        let found = world.json(&format!("predict --weights {weights} {PREPARED} set/c1/0.ppm --top 5"));
        let mut of_class = [0.0; 5];
        for class in found["predictions"][0]["classes"].as_array().unwrap() {
            of_class[class["index"].as_u64().unwrap() as usize] = class["probability"].as_f64().unwrap();
        }
        of_class
    };
    let (one, other) = (probabilities(&first), probabilities(&second));
    let both = probabilities(&format!("{first},{second}"));
    assert!((0..5).all(|c| (both[c] - (one[c] + other[c]) / 2.0).abs() < 1e-6), "{one:?} {other:?} {both:?}");
    ["c5", "c6"].iter().for_each(|class| fs::remove_dir_all(world.path("set").join(class)).unwrap());
    let found = world.json(&format!("eval --weights {first},{second} {PREPARED} --data set"));
    assert_eq!(found["images"], 20);
}

#[test]
fn networks_that_do_not_agree_are_named() {
    let world = World::new();
    for command in ["eval --data set", "predict set/c1/0.ppm"] {
        let err = world.exits(1, &format!("{command} --weights cifar10,fashion-mnist")).1;
        assert!(err.contains("class 0 of fashion-mnist is T-shirt/top, of cifar10 airplane"), "{err}");
        let weights = kind("head-sigmoid.pth").display().to_string();
        let err = world.exits(1, &format!("{command} --weights {weights},cifar10 {PREPARED}")).1;
        assert!(err.contains("cifar10 knows 10 classes") && err.contains("head-sigmoid.pth 7"), "{err}");
    }
}

#[test]
fn labels_are_scored_each_by_itself_and_what_is_not_known_is_left_out() {
    let world = World::new();
    let names: Vec<String> = (0..CLASSES).map(|class| format!("l{class}")).collect();
    let row = |picture: usize| {
        let label = |class: usize| match (picture + class) % 5 {
            0 => "",
            1 | 2 => "1",
            _ => "0",
        };
        let labels: Vec<&str> = (0..CLASSES).map(label).collect();
        format!("set/c{}/{}.ppm,{}\n", picture / 4, picture % 4, labels.join(","))
    };
    let table: String = (0..28).map(row).collect();
    fs::write(world.path("table.csv"), format!("path,{}\n{table}", names.join(","))).unwrap();
    let words = format!("eval {} --data table.csv --part train", weights("head-sigmoid.pth"));
    let err = world.exits(2, &words).1;
    assert!(err.contains("labels that are independent of each other") && err.contains("--output sigmoid"), "{err}");
    let found = world.json(&format!("{words} --output sigmoid --tta flip"));
    let images = found["images"].as_u64().unwrap();
    assert!(found["accuracy"].is_number() && found["auc"].is_number() && found["top1"].is_null(), "{found}");
    let known: u64 = found["calibration"].as_array().unwrap().iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
    assert!(images > 20 && known < images * CLASSES as u64, "{found}");
    let text = world.exits(0, &format!("{words} --output sigmoid --show 1")).0;
    assert!(text.starts_with("mean ROC-AUC ") && text.contains("\nl6 ") && !text.contains("predicted"), "{text}");
}

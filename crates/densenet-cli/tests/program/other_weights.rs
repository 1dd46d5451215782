//! Weights of other programs through the program: what it says of them, asks for and predicts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use densenet::checkpoint::Contents;
use densenet::{Card, Config, DenseNet, models};
use densenet_kernels::random::Stream;
use serde_json::Value;
use tempfile::TempDir;

/// A golden of the library's tests.
fn kind(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/kinds");
    folder.join(name).display().to_string()
}

/// Exit code, stdout and stderr of `words` in `folder`.
fn run(folder: &TempDir, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
    command.args(words).current_dir(folder.path()).env("HOME", folder.path()).env_remove("DENSENET_DATA");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(folder: &TempDir, words: &[&str]) -> String {
    let (code, out, err) = run(folder, words);
    assert_eq!(code, Some(0), "{words:?}: {err}");
    out
}

/// A BMP of 24 bits with smooth random colours.
fn bmp(side: u32, seed: u64) -> Vec<u8> {
    let random = Stream::new(seed, 0);
    let wave = |c: u64, x: f64, y: f64| {
        let at = |i: u64| random.uniform(8 * c + i);
        127.5 + 127.5 * (6.0 * (at(0) * x + at(1) * y) + 6.3 * at(2)).sin() * (0.3 + 0.7 * at(3))
    };
    let row = (3 * side).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    for number in [54 + row * side, 0, 54, 40, side, side] {
        file.extend(number.to_le_bytes());
    }
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    for y in 0..side {
        let pixels = (0..side).flat_map(|x| [0, 1, 2].map(|c| wave(c, x.into(), y.into()) as u8));
        let start = file.len();
        file.extend(pixels.collect::<Vec<_>>());
        file.resize(start + row as usize, 0);
    }
    file
}

fn folder_with_picture() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.bmp"), bmp(20, 7)).unwrap();
    folder
}

const PREPARED: [&str; 6] = ["--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--size", "16"];

#[test]
fn independent_labels_are_answered_each_by_itself() {
    let folder = folder_with_picture();
    let weights = kind("head-sigmoid.pth");
    let words = ["predict", "--weights", &weights, "a.bmp", "--json", "--top", "7"];
    let probabilities = |more: &[&str]| -> Vec<f64> {
        let out = done(&folder, &[&words, &PREPARED[..], more].concat());
        let object: Value = serde_json::from_str(&out).unwrap();
        let classes = object["predictions"][0]["classes"].as_array().unwrap().clone();
        classes.iter().map(|class| class["probability"].as_f64().unwrap()).collect()
    };
    let (softmax, sigmoid) = (probabilities(&[]), probabilities(&["--output", "sigmoid"]));
    assert!((softmax.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    for (a, b) in softmax.iter().zip(&sigmoid) {
        // Both are of the same logits, so that odds and shares differ by the same factor.
        assert!((logit(*b) - logit(sigmoid[0]) - (a / softmax[0]).ln()).abs() < 1e-6, "{softmax:?} {sigmoid:?}");
    }
    let table = ["predict", "--weights", &weights, "a.bmp", "--output", "sigmoid", "--out", "t.csv"];
    done(&folder, &[&table, &PREPARED[..]].concat());
    let text = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    assert!(
        text.starts_with("path,class 0,class 1,") && text.lines().nth(1).unwrap().split(',').count() == 8,
        "{text}"
    );
}

#[test]
fn a_network_of_one_output_answers_its_sigmoid() {
    let folder = folder_with_picture();
    let config = Config { num_classes: 1, in_channels: 3, ..Config::preset("densenet-bc-22-4").unwrap() };
    let network = DenseNet::<f32>::new(&config, 1).unwrap();
    let (card, architecture) = (Card::of(config), network.architecture());
    let (parameters, running) = (network.parameters(), network.running());
    Contents { card: &card, architecture, parameters, running, quantization: None, reference: None }
        .save(&folder.path().join("w.safetensors"))
        .unwrap();
    let words = ["predict", "--weights", "w.safetensors", "a.bmp", "--json", "--logits", "l.npy"];
    let object: Value = serde_json::from_str(&done(&folder, &[&words, &PREPARED[..]].concat())).unwrap();
    let logits = fs::read(folder.path().join("l.npy")).unwrap();
    let logit = f64::from(f32::from_le_bytes(*logits.last_chunk().unwrap()));
    let probability = object["predictions"][0]["classes"][0]["probability"].as_f64().unwrap();
    assert!((probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6 && probability < 1.0, "{logit}: {object}");
}

#[test]
fn a_card_says_what_options_say() {
    let folder = folder_with_picture();
    let weights = kind("head-sigmoid.pth");
    let card = r#"{"preprocessing":{"size":16,"mean":[0.5,0.5,0.5],"std":[0.25,0.25,0.25]},
        "output":{"kind":"sigmoid"},"labels":["a","b","c","d","e","f","g"]}"#;
    fs::write(folder.path().join("card.json"), card).unwrap();
    let by_card = done(&folder, &["predict", "--weights", &weights, "a.bmp", "--card", "card.json"]);
    let words = ["predict", "--weights", &weights, "a.bmp", "--output", "sigmoid"];
    let by_options = done(&folder, &[&words, &PREPARED[..]].concat());
    let percents = |text: &str| -> Vec<String> {
        text.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).map(String::from).collect()
    };
    let by_options = by_options.replace("class ", "class-");
    assert_eq!(percents(&by_card), percents(&by_options), "{by_card}{by_options}");
    for (text, part) in [
        (r#"{"zoom":1}"#, "unknown field `zoom`"),
        (r#"{"labels":["a"]}"#, "1 class names for a network of 7 classes"),
        (r#"{"output":{"kind":"sigmoid","thresholds":[2.0]}}"#, "1 thresholds"),
        (r#"{"card_version":9}"#, "version 9; this program reads up to 1"),
        ("[]", "not a card"),
        ("{", "not JSON"),
    ] {
        fs::write(folder.path().join("card.json"), text).unwrap();
        let (code, _, err) = run(&folder, &["predict", "--weights", &weights, "a.bmp", "--card", "card.json"]);
        assert!(code != Some(0) && err.contains("card.json") && err.contains(part), "{text}: {err}");
    }
}

#[test]
fn what_was_chosen_in_reading_is_said() {
    let folder = folder_with_picture();
    let info = |name: &str, more: &[&str]| done(&folder, &[&["info", &kind(name)][..], more].concat());
    assert!(info("new-maps-first.pth", &[]).contains("new maps come before the older ones"));
    assert!(!info("head-mlp.pth", &[]).contains("new maps"));
    assert!(info("ema.pth", &[]).contains("model_ema, the average of the weights, is used"));
    assert!(!info("ema.pth", &["--entry", "model"]).contains("the average of the weights"));
    assert!(info("no-head.pth", &[]).contains("no classifier"));
    let object: Value = serde_json::from_str(&info("stem-pool-2x2.pth", &["--json"])).unwrap();
    let options: Vec<&str> =
        object["inferred"]["assumptions"].as_array().unwrap().iter().map(|a| a["option"].as_str().unwrap()).collect();
    assert!(options.contains(&"--stem-pool") && options.contains(&"--output"), "{options:?}");
    let pooled = info("stem-pool-2x2.pth", &["--stem-pool", "max:2", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&pooled).unwrap()["config"]["stem"]["other"]["pool"]["kernel"], 2);
    let hub: Value = serde_json::from_str(&info("timm-hub-folder", &["--json"])).unwrap();
    assert_eq!(hub["card"]["preprocessing"]["interpolation"], "bicubic");
    assert_eq!(hub["card"]["labels"][4], "kind-4");
}

#[test]
fn a_backbone_cannot_predict_and_says_why() {
    let folder = folder_with_picture();
    let words = ["predict", "--weights", &kind("no-head.pth"), "a.bmp"];
    let (code, out, err) = run(&folder, &[&words, &PREPARED[..]].concat());
    assert!(code != Some(0) && out.is_empty() && err.contains("no classifier"), "{err}");
    done(&folder, &["export", "--weights", &kind("no-head.pth"), "--out", "backbone.onnx"]);
}

#[test]
fn a_model_by_name_keeps_the_ends_that_the_file_tells() {
    let folder = tempfile::tempdir().unwrap();
    let small = Config::preset("densenet-bc-22-4").unwrap();
    let config = Config { hidden: vec![7], num_classes: 3, ..small };
    let network = DenseNet::<f32>::new(&config, 1).unwrap();
    let (card, architecture) = (Card::of(config), network.architecture());
    let (parameters, running) = (network.parameters(), network.running());
    let path = folder.path().join("w.safetensors");
    Contents { card: &card, architecture, parameters, running, quantization: None, reference: None }
        .save(&path)
        .unwrap();
    let out = done(&folder, &["info", "w.safetensors", "--model", "densenet-bc-22-4", "--json"]);
    let info: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&info["config"]["hidden"][0], &info["config"]["num_classes"]), (&7.into(), &3.into()));
    fs::write(folder.path().join("c.json"), format!("\u{feff}{out}")).unwrap();
    done(&folder, &["info", "w.safetensors", "--config", "c.json"]);
}

#[test]
fn weights_for_torchvision_say_that_they_are_pytorchs() {
    let folder = folder_with_picture();
    let weights = kind("head-mlp.pth");
    done(&folder, &["export", "--weights", &weights, "--format", "torchvision", "--out", "t.safetensors"]);
    let bytes = fs::read(folder.path().join("t.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let metadata = header["__metadata__"].as_object().unwrap();
    assert_eq!(metadata["format"], "pt");
    assert!(metadata.values().all(|text| text != "") && metadata.contains_key("densenet_card"), "{metadata:?}");
}

/// Writes 48 pictures, and in the folder `data` the classes that the built-in network takes them for, each in the folder
/// that `name` makes of the class; returns the classes' names.
fn label_pictures(folder: &TempDir, name: impl Fn(&[String], usize) -> String) -> Vec<String> {
    let pictures: Vec<PathBuf> = (0..48).map(|i| folder.path().join(format!("{i}.bmp"))).collect();
    pictures.iter().zip(0..).for_each(|(path, seed)| fs::write(path, bmp(32, seed)).unwrap());
    let labels = models::open(Path::new("cifar10")).unwrap().card().unwrap().labels;
    let parts = ["train", "test"].map(|part| folder.path().join("data").join(part));
    for class in 0..labels.len() {
        parts.iter().for_each(|part| fs::create_dir_all(part.join(name(&labels, class))).unwrap());
    }
    let out = done(folder, &["predict", "--weights", "cifar10", "--json", "--top", "1", "."]);
    let object: Value = serde_json::from_str(&out).unwrap();
    for prediction in object["predictions"].as_array().unwrap() {
        let picture = Path::new(prediction["input"].as_str().unwrap()).file_name().unwrap();
        let class = prediction["classes"][0]["index"].as_u64().unwrap() as usize;
        for part in &parts {
            fs::copy(folder.path().join(picture), part.join(name(&labels, class)).join(picture)).unwrap();
        }
    }
    labels
}

const WRONG: [&str; 6] = ["--mean", "0.1,0.1,0.1", "--std", "0.9,0.9,0.9", "--channel-order", "bgr"];

fn doctor(folder: &TempDir, more: &[&str]) -> Value {
    let words = ["doctor", "cifar10", "./data", "--out", "card.json", "--json", "--seconds", "5"];
    serde_json::from_str(&done(folder, &[&words, &WRONG[..], more].concat())).unwrap()
}

/// Pictures that the built-in network labels itself, under settings that are then said wrongly: the right ones score best.
#[test]
fn the_doctor_finds_the_settings_that_labels_were_made_with() {
    let folder = tempfile::tempdir().unwrap();
    label_pictures(&folder, |labels, class| labels[class].clone());
    let object = doctor(&folder, &[]);
    let best = &object["tried"][0];
    assert_eq!(best["correct"], best["images"], "{object}");
    assert_eq!((&best["preprocessing"]["channel_order"], &object["labels"]), (&"rgb".into(), &Value::Null), "{object}");
    let worst = object["tried"].as_array().unwrap().last().unwrap();
    assert!(worst["loss"].as_f64().unwrap() > best["loss"].as_f64().unwrap() + 0.1, "{object}");
    let by_card = done(&folder, &["predict", "--weights", "cifar10", "0.bmp", "--card", "card.json"]);
    let plain = done(&folder, &["predict", "--weights", "cifar10", "0.bmp"]);
    assert_eq!(by_card.split(' ').nth(1), plain.split(' ').nth(1));
    assert_eq!(
        (&best["as_well_as_the_best"], &worst["as_well_as_the_best"]),
        (&true.into(), &false.into()),
        "{object}"
    );
}

#[test]
fn the_doctor_finds_labels_in_another_order_together_with_wrong_settings() {
    let folder = tempfile::tempdir().unwrap();
    let labels = label_pictures(&folder, |labels, class| labels[(class + 3) % 10].clone());
    let object = doctor(&folder, &[]);
    let best = &object["tried"][0];
    // A class of a single picture may not be among those that the order is found by.
    let wrong = best["images"].as_u64().unwrap() - best["correct"].as_u64().unwrap();
    assert!(wrong <= 2, "{object}");
    assert_eq!(best["preprocessing"]["channel_order"], "rgb", "{object}");
    assert!(best["preprocessing"]["mean"][0].as_f64().unwrap() > 0.4, "{object}");
    // Two thirds of the pictures are tried, so that those of a class with a single one may not be.
    let pictures = |label: &str| fs::read_dir(folder.path().join("data/test").join(label)).unwrap().count();
    let told: Vec<usize> = (0..10).filter(|class| pictures(&labels[(class + 3) % 10]) > 1).collect();
    assert!(told.len() >= 3, "{object}");
    for class in told {
        assert_eq!(object["labels"][class], *labels[(class + 3) % 10], "{class}: {object}");
    }
    let card: Value = serde_json::from_slice(&fs::read(folder.path().join("card.json")).unwrap()).unwrap();
    assert_eq!(card["labels"], object["labels"]);
}

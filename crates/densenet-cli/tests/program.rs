//! The program from end to end, on data sets made up on the spot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a data set of 40 training and 20 test pictures of 28x28, laid out as Fashion-MNIST.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir(world.path("fashion-mnist")).unwrap();
        world.write_set("train", 40);
        world.write_set("t10k", 20);
        world
    }

    fn write_set(&self, part: &str, count: u8) {
        let labels: Vec<u8> = (0..count).map(|i| i % 10).collect();
        let pixel = |i: usize| labels[i / 784] * 25 + (i * 7919 % 19) as u8;
        let pixels: Vec<u8> = (0..784 * labels.len()).map(pixel).collect();
        let [images, names] = self.idx(part);
        fs::write(images, [&idx_header(2051, &[count.into(), 28, 28]), &*pixels].concat()).unwrap();
        fs::write(names, [&idx_header(2049, &[count.into()]), &*labels].concat()).unwrap();
    }

    /// Pictures and labels of a part.
    fn idx(&self, part: &str) -> [PathBuf; 2] {
        ["images-idx3", "labels-idx1"].map(|kind| self.path("fashion-mnist").join(format!("{part}-{kind}-ubyte")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program in this folder, with words parted by blanks.
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
        command.args(words.split_whitespace()).current_dir(self.0.path());
        command.env_remove("DENSENET_DATA").env("HOME", self.0.path()).env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// Exit code, stdout and stderr.
    fn run(&self, words: &str) -> (Option<i32>, String, String) {
        told(self.command(words).output().unwrap())
    }

    /// Stdout of words that must succeed.
    fn done(&self, words: &str) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!(code, Some(0), "densenet {words}: {err}");
        out
    }

    /// Checks that `words` fail with `code`, say each of `parts` on stderr and nothing on stdout.
    fn fails(&self, words: &str, code: i32, parts: &[&str]) {
        let (found, out, err) = self.run(words);
        assert_eq!((found, &*out), (Some(code), ""), "densenet {words}: {err}");
        for part in parts {
            assert!(err.contains(part), "densenet {words}: {part:?} is not in {err}");
        }
        assert!(!err.contains("panicked"), "densenet {words}: {err}");
        let reasons: Vec<&str> = err.trim_end().split(": ").collect();
        assert!(reasons.windows(2).all(|pair| pair[0] != pair[1]), "densenet {words} says it twice: {err}");
    }
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn idx_header(magic: u32, extents: &[u32]) -> Vec<u8> {
    [&[magic], extents].concat().iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A grey BMP of `width` by `height`, whose header may announce more than is there.
fn bmp(width: i32, height: i32, grey: u8) -> Vec<u8> {
    let rows =
        if width < 1000 { vec![grey; (3 * width as usize).next_multiple_of(4) * height as usize] } else { vec![] };
    let mut file = b"BM".to_vec();
    file.extend([54 + rows.len() as u32, 0, 54, 40].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([width, height].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([1u16, 24].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([0u8; 24]);
    file.extend(rows);
    file
}

/// A .npy of zeros of float32.
fn npy(shape: &str, elements: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &vec![0; 4 * elements]].concat()
}

/// The test part chooses, so that all 40 pictures are trained on.
const TRAIN: &str =
    "train --model densenet-bc-40-12 --data ./fashion-mnist --size 8 --batch 8 --threads 1 --val-fraction 0";

#[test]
fn info_tells_people_and_programs() {
    let world = World::new();
    let object: Value = serde_json::from_str(&world.done("info densenet121 --json")).unwrap();
    assert_eq!(object["params"], 7_978_856);
    assert_eq!(object["macs"], 2_834_161_664u64);
    assert_eq!(object["input"], serde_json::json!([3, 224, 224]));
    let sum: u64 = object["layers"].as_array().unwrap().iter().map(|layer| layer["macs"].as_u64().unwrap()).sum();
    assert_eq!(sum, 2_834_161_664);
    let half: Value = serde_json::from_str(&world.done("info densenet121 --size 112 --json")).unwrap();
    assert_eq!((&half["params"], &half["input"]), (&object["params"], &serde_json::json!([3, 112, 112])));
    assert!(half["macs"].as_u64().unwrap() < 2_834_161_664 / 3, "{}", half["macs"]);
    world.fails("info densenet121 --size 16", 2, &["16x16", "smallest"]);
    let text = world.done("info seed");
    assert!(text.contains("758,226 parameters") && text.contains("features.transition3"), "{text}");
    assert!(text.contains("1x96x96, 10 classes\nseed: a DenseNet with blocks of 4, 4, 4 and 4 layers, "), "{text}");
}

#[test]
fn every_command_shows_an_example() {
    let world = World::new();
    let commands = "info train eval predict explain features reuse doctor report export models bench";
    for command in commands.split(' ').chain(["", "bench infer", "bench train", "data show", "data check"]) {
        assert!(world.done(&format!("{command} --help")).contains("Example: densenet "), "{command}");
    }
}

#[test]
fn trains_evaluates_and_predicts() {
    let world = World::new();
    let out = world.done(&format!("{TRAIN} --epochs 2 --out run --seed 3 --drop-rate 0.1"));
    assert!(out.contains("weights: run/best.safetensors"), "{out}");
    let log: Vec<Value> = world.text("run/log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(log.len(), 12);
    assert!(["step", "epoch", "loss", "lr"].iter().all(|name| log[0][name].is_number()), "{}", log[0]);
    for name in ["epoch", "train_loss", "train_top1", "test_loss", "test_top1", "seconds"] {
        assert!(log[11][name].is_number(), "{}", log[11]);
    }
    let eval: Value =
        serde_json::from_str(&world.done("eval --weights run/last.safetensors --data ./fashion-mnist --json")).unwrap();
    assert_eq!(eval["images"], 20);
    assert_eq!(eval["top1"], log[11]["test_top1"]);
    assert!((eval["loss"].as_f64().unwrap() - log[11]["test_loss"].as_f64().unwrap()).abs() < 1e-4);
    assert_eq!(eval["correct"].as_f64().unwrap() / 20.0, eval["top1"].as_f64().unwrap());
    let text = world.done("eval --weights run/last.safetensors --data ./fashion-mnist --show 2");
    assert!(text.contains("true \\ predicted") && text.contains("of 20 pictures"), "{text}");
    predicts(&world);
    let info: Value = serde_json::from_str(&world.done("info run/best.safetensors --json")).unwrap();
    assert_eq!(info["card"]["seed"], 3);
    assert_eq!(info["input"], serde_json::json!([1, 8, 8]));
}

fn predicts(world: &World) {
    fs::create_dir_all(world.path("pictures/more")).unwrap();
    fs::write(world.path("pictures/a.bmp"), bmp(30, 20, 200)).unwrap();
    fs::write(world.path("pictures/more/b.bmp"), bmp(8, 8, 10)).unwrap();
    fs::write(world.path("zeros.npy"), npy("40, 1, 8, 8", 40 * 64)).unwrap();
    let words = "predict --weights run/last.safetensors pictures zeros.npy --top 3 --logits out.npy";
    let object: Value = serde_json::from_str(&world.done(&format!("{words} --json"))).unwrap();
    let predictions = object["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 42);
    assert!(predictions[0]["input"].as_str().unwrap().ends_with("a.bmp"));
    let classes = predictions[0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 3);
    let probabilities: Vec<f64> = classes.iter().map(|class| class["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.windows(2).all(|pair| pair[0] >= pair[1]) && probabilities[2] > 0.0, "{probabilities:?}");
    let logits = fs::read(world.path("out.npy")).unwrap();
    assert!(String::from_utf8_lossy(&logits[..128]).contains("(42, 10"));
    let values: Vec<f32> =
        logits[logits.len() - 1680..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let highest = values[..10].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    assert_eq!(classes[0]["index"], highest);
    let text = world.done(words);
    assert_eq!(text.lines().count(), 42);
    assert_eq!(world.done(&format!("{words} --batch 1")), text);
    assert!(text.lines().last().unwrap().starts_with("zeros.npy[39]: "), "{text}");
}

#[test]
fn exports_in_every_format() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 1 --out run"));
    let export = "export --weights run/resume.safetensors";
    world.done(&format!("{export} --fold --dynamic-size --out w.ONNX"));
    world.done(&format!("{export} --format onnx --out same.bin --dynamic-size --fold"));
    assert_eq!(fs::read(world.path("w.ONNX")).unwrap(), fs::read(world.path("same.bin")).unwrap());
    world.done(&format!("{export} --format densenet --licence CC0-1.0 --out w.safetensors"));
    world.done("export --weights w.safetensors --format torchvision --out tv.safetensors");
    let info: Value = serde_json::from_str(&world.done("info tv.safetensors --json")).unwrap();
    assert_eq!(info["card"]["licence"], "CC0-1.0");
    assert!(world.done("info w.safetensors").contains("licence: CC0-1.0"));
    let logits = |weights: &str| {
        fs::write(world.path("noise.npy"), npy("2, 1, 8, 8", 128)).unwrap();
        world.done(&format!("predict --weights {weights} noise.npy --logits {weights}.npy"));
        fs::read(world.path(&format!("{weights}.npy"))).unwrap()
    };
    let ours = logits("run/resume.safetensors");
    assert!(ours == logits("w.safetensors") && ours == logits("tv.safetensors"));
    let (code, _, err) = world.run(&format!("{export} --format torchvision --out tv.safetensors"));
    assert!(code == Some(0) && err.contains("no such network (the 3x3 stem, input channels: 1)"), "{err}");
}

#[test]
fn exports_that_cannot_be() {
    let world = World::new();
    world.fails("export --weights fashion-mnist --out w.safetensors", 2, &["w.safetensors", "--format torchvision"]);
    world.fails("export --weights fashion-mnist --out w.bin", 2, &["w.bin", "--format"]);
    world.fails("export --weights fashion-mnist --format tflite --out w", 2, &["tflite", "torchvision", "onnx"]);
    world.fails("export --weights fashion-mnist --format densenet --fold --out w", 2, &["--fold", "onnx alone"]);
    world.fails("export --weights nothing --out w.onnx", 1, &["nothing", "densenet models"]);
    world.fails("export --weights fashion-mnist --out nowhere/w.onnx", 1, &["nowhere/w.onnx"]);
}

#[test]
fn built_in_models_answer_without_a_file() {
    let world = World::new();
    let list: Value = serde_json::from_str(&world.done("models --json")).unwrap();
    let models = list["models"].as_array().unwrap();
    let text = world.done("models");
    fs::write(world.path("a.bmp"), bmp(30, 20, 200)).unwrap();
    for model in models {
        let name = model["name"].as_str().unwrap();
        let percent = format!("{name}: {:.2} %", 100.0 * model["top1"].as_f64().unwrap());
        assert!(text.contains(&percent) && text.contains(model["command"].as_str().unwrap()), "{text}");
        assert_eq!(model["correct"].as_f64().unwrap() / model["images"].as_f64().unwrap(), model["top1"]);
        let said: Value = serde_json::from_str(&world.done(&format!("predict --weights {name} a.bmp --json"))).unwrap();
        let label = &said["predictions"][0]["classes"][0]["label"];
        assert!(model["labels"].as_array().unwrap().contains(label), "{label}");
        assert!(world.done(&format!("info {name}")).contains("licence: "));
        world.done(&format!("bench infer --model {name} --seconds 0 --json"));
        world.done(&format!("export --weights {name} --out {name}.onnx"));
    }
    let (code, out, err) = world.run("predict a.bmp");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains(&format!("built-in model {}", models[0]["name"].as_str().unwrap())), "{err}");
    let first = world.done(&format!("predict --weights {} a.bmp", models[0]["name"].as_str().unwrap()));
    assert!(out == first && out.starts_with("a.bmp: "), "{out}");
    world.done("eval --weights fashion-mnist --data ./fashion-mnist --json");
}

/// The losses of the first four steps of a run with these options.
fn losses(world: &World, options: &str) -> Vec<f64> {
    let _ = fs::remove_dir_all(world.path("tried"));
    world.done(&format!("{TRAIN} --max-steps 4 --out tried {options}"));
    let log = world.text("tried/log.jsonl");
    log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap()).collect()
}

#[test]
fn every_option_of_training_does_what_it_says() {
    let world = World::new();
    let plain = losses(&world, "");
    assert_eq!(losses(&world, "--augment none"), plain, "the usual for pictures of one channel");
    let augment = ["flip", "crop-flip", "resized-crop"].map(|word| format!("--augment {word}"));
    let others = ["--label-smoothing 0.2", "--drop-rate 0.5", "--no-shuffle", "--seed 1"].map(String::from);
    let more =
        ["--color-jitter 0.5", "--rand-augment 2,9", "--random-erasing 1", "--mixup 1", "--cutmix 1"].map(String::from);
    for option in augment.iter().chain(&others).chain(&more) {
        assert_ne!(losses(&world, option)[0], plain[0], "{option}");
    }
    for (crop, option) in [("crop-flip", "--crop-padding 9"), ("resized-crop", "--crop-scale 0.9")] {
        let crop = format!("--augment {crop}");
        assert_ne!(losses(&world, &format!("{crop} {option}"))[0], losses(&world, &crop)[0], "{option}");
    }
    for option in ["--momentum 0", "--weight-decay 0.1", "--lr 0.05", "--schedule cosine"] {
        let changed = losses(&world, option);
        assert!(changed[0] == plain[0] && changed[3] != plain[3], "{option}: {changed:?} {plain:?}");
    }
}

#[test]
fn a_schedule_sets_the_rate_of_every_step() {
    let world = World::new();
    let rates = |schedule: &str| -> Vec<f64> {
        world.done(&format!("{TRAIN} --epochs 1 --schedule {schedule} --out {schedule}"));
        let log = world.text(&format!("{schedule}/log.jsonl"));
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["lr"].as_f64()).collect()
    };
    assert_eq!(rates("constant"), [0.1; 5]);
    assert_eq!(rates("steps"), [0.1, 0.1, 0.1, 0.01, 0.001]);
    assert!(rates("cosine").windows(2).all(|pair| pair[1] < pair[0]));
}

#[test]
fn a_run_that_begins_with_weights_of_another() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 8 --out run"));
    let begin = |options: &str| losses(&world, &format!("--init run/last.safetensors {options}"))[0];
    assert_ne!(begin(""), losses(&world, "")[0]);
    // With the same weights, all that is left of the seed is the order.
    assert_ne!(begin("--seed 1"), begin("--seed 2"));
    assert_eq!(begin("--seed 1 --no-shuffle"), begin("--seed 2 --no-shuffle"));
}

/// A checkpoint of another program: a network of 3 channels and 5 classes with a 7x7 stem.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/checkpoints").join(name)
}

#[test]
fn a_run_that_begins_with_a_checkpoint_of_other_classes_and_channels() {
    let world = World::new();
    let file = golden("torchvision.legacy.pth");
    let words = format!("train --data ./fashion-mnist --size 32 --max-steps 1 --out run --init {}", file.display());
    let (code, _, err) = world.run(&words);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("5 classes, not 10: the classifier starts anew"), "{err}");
    assert!(err.contains("3 input channels, not 1: the stem's kernels are added up"), "{err}");
    let info: Value = serde_json::from_str(&world.done("info run/last.safetensors --json")).unwrap();
    assert_eq!(info["config"]["block_config"], serde_json::json!([2, 3, 2]));
    assert_eq!((&info["config"]["in_channels"], &info["config"]["num_classes"]), (&1.into(), &10.into()));
    let other = format!("train --model seed --data ./fashion-mnist --size 32 --out other --init {}", file.display());
    world.fails(&other, 1, &["torchvision.legacy.pth", "missing (", "of another shape"]);
}

#[test]
fn a_checkpoint_says_what_it_is_and_is_told_what_it_does_not_say() {
    let world = World::new();
    let file = golden("torchvision.pth").display().to_string();
    let text = world.done(&format!("info {file}"));
    for part in
        ["blocks of 2, 3 and 2 layers", "growth rate k = 4", "torchvision or timm", "--stem-pool", "--final-relu"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let info: Value = serde_json::from_str(&world.done(&format!("info {file} --stem-pool no --json"))).unwrap();
    assert_eq!(info["config"]["stem"]["other"]["pool"], Value::Null);
    assert_eq!(info["inferred"]["spelling"], "torchvision or timm");
    fs::write(world.path("config.json"), info.to_string()).unwrap();
    fs::write(world.path("a.bmp"), bmp(30, 20, 200)).unwrap();
    fs::write(world.path("zeros.npy"), npy("1, 3, 32, 32", 3 * 1024)).unwrap();
    let logits = |options: &str| {
        let words = format!("predict --weights {file} --logits out.npy zeros.npy {options}");
        let (code, _, err) = world.run(&words);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("growth rate k = 4") && err.contains("--stem-pool"), "{err}");
        fs::read(world.path("out.npy")).unwrap()
    };
    let plain = logits("");
    assert_eq!(logits("--stem-pool yes --final-relu yes"), plain);
    assert_eq!(logits("--stem-pool no"), logits("--config config.json"));
    assert_ne!(logits("--stem-pool no"), plain);
    assert_ne!(logits("--final-relu no"), plain);
    world.fails(&format!("predict --weights {file} --model densenet121 a.bmp"), 1, &["missing (", "of another shape"]);
    world.fails(&format!("predict --weights {file} a.bmp"), 2, &["--preset (one of imagenet, ", "--mean", "--std"]);
    world.fails(&format!("predict --weights {file} --mean 0.5 --std 0.5 a.bmp"), 2, &["1 channels", "takes 3"]);
    let of_255 = format!("predict --weights {file} --mean 125.3,123,113.9 --std 63,62.1,66.7 a.bmp");
    world.fails(&of_255, 2, &["mean is [125.3, 123.0, 113.9]", "in the value_range, 0 to 1"]);
    let preset = world.run(&format!("predict --weights {file} --preset imagenet --size 64 a.bmp"));
    assert!(preset.0 == Some(0) && preset.2.contains("--mean 0.485,0.456,0.406"), "{}", preset.2);
    assert!(preset.2.contains("a crop of 64x64") && preset.1.contains("class "), "{} {}", preset.1, preset.2);
    world.done(&format!("predict --weights {file} --mean 0.5,0.5,0.5 --std 0.2,0.2,0.2 --size 40 a.bmp"));
}

#[test]
fn classes_are_named_by_a_file() {
    let world = World::new();
    let file = golden("torchvision.pth").display().to_string();
    let words = format!("predict --weights {file} --preset imagenet --size 64 --labels names.txt a.bmp");
    let names = "tench\ngreat white shark\r\n cock \nhen\nostrich\n\n";
    fs::write(world.path("a.bmp"), bmp(30, 20, 200)).unwrap();
    fs::write(world.path("names.txt"), names).unwrap();
    let said = world.done(&words);
    let known = ["tench", "great white shark", "cock", "hen", "ostrich"];
    let labels = said.trim_start_matches("a.bmp: ").split(", ").map(|class| class.rsplitn(3, ' ').last().unwrap());
    let mut labels: Vec<&str> = labels.collect();
    labels.sort_by_key(|label| known.iter().position(|name| name == label));
    assert_eq!(labels, known, "{said}");
    // They travel on, and another file's replace them.
    let named = "--preset imagenet --size 64 --labels names.txt --format densenet --out named.safetensors";
    world.done(&format!("export --weights {file} {named}"));
    let info = world.done("info named.safetensors");
    assert!(info.contains("pictures: the short side at 73, a crop of 64x64, --mean 0.485,"), "{info}");
    assert!(info.contains("classes: tench, great white shark, cock, hen, ostrich"));
    fs::write(world.path("names.txt"), "a\nb\nc\nd\ne").unwrap();
    world.done("export --weights named.safetensors --labels names.txt --format densenet --out again.safetensors");
    assert!(world.done("info again.safetensors").contains("classes: a, b, c, d, e\n"));
    for (text, parts) in [
        ("a\nb\nc\nd\n", ["names.txt", "4 names", "5 classes"]),
        ("a\n\nb\nc\nd\n", ["names.txt", "line 2", "empty"]),
        ("", ["names.txt", "0 names", "5 classes"]),
    ] {
        fs::write(world.path("names.txt"), text).unwrap();
        world.fails(&words, 1, &parts);
    }
    fs::write(world.path("names.txt"), [0xff, 0xfe, 0]).unwrap();
    world.fails(&words, 1, &["names.txt", "UTF-8"]);
    fs::remove_file(world.path("names.txt")).unwrap();
    world.fails(&words, 1, &["names.txt", "No such file"]);
    fs::write(world.path("names.txt"), "T-shirt/top\na\nb\nc\nd\ne\nf\ng\nh\ni\n").unwrap();
    let eval = "eval --weights fashion-mnist --labels names.txt --data ./fashion-mnist";
    world.fails(eval, 1, &["class 1 of ./fashion-mnist is ", "these weights know it as a"]);
}

#[test]
fn weights_that_are_not_numbers_are_warned_of() {
    let world = World::new();
    let mut bytes = fs::read(golden("torchvision.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(world.path("nan.safetensors"), bytes).unwrap();
    let (code, _, err) = world.run("info nan.safetensors");
    assert!(code == Some(0) && err.contains("warning: nan.safetensors: values that are not finite in "), "{err}");
}

/// A network that others trained, in PyTorch's old format and under names of its own.
#[test]
fn the_real_checkpoint_scores_what_its_makers_say() {
    let weights =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/weights/densenet_bc_40_12_cifar10.pth.tar");
    let data = std::env::var_os("DENSENET_DATA").map(PathBuf::from).filter(|data| data.join("cifar10").is_dir());
    let (true, Some(data)) = (weights.is_file(), data) else {
        println!("skipped: needs {} and cifar10 in $DENSENET_DATA", weights.display());
        return;
    };
    let normalised = "--mean 0.49137255,0.48235294,0.44666667 --std 0.24705882,0.24352941,0.26156863";
    let words = format!("eval --weights {} --data cifar10 --data-dir {}", weights.display(), data.display());
    let world = World::new();
    world.fails(&words, 2, &["--preset", "--mean"]);
    let eval: Value = serde_json::from_str(&world.done(&format!("{words} {normalised} --json"))).unwrap();
    assert_eq!((&eval["correct"], &eval["images"]), (&9316.into(), &10_000.into()));
}

#[test]
fn data_sets_are_found_by_name() {
    let world = World::new();
    let named = TRAIN.replace("./fashion-mnist", "fashion-mnist");
    world.done(&format!("{named} --max-steps 1 --out by-option --data-dir ."));
    let mut command = world.command(&format!("{named} --max-steps 1 --out by-variable"));
    assert_eq!(told(command.env("DENSENET_DATA", ".").output().unwrap()).0, Some(0));
    let weights = ["by-option", "by-variable"].map(|run| fs::read(world.path(run).join("last.safetensors")).unwrap());
    assert_eq!(weights[0], weights[1]);
}

#[test]
fn a_run_without_a_folder_gets_one_and_neither_batches_nor_threads_change_its_evaluation() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 1"));
    let words = "eval --weights runs/densenet-bc-40-12-fashion-mnist/last.safetensors --json";
    let whole = world.done(&format!("{words} --data ./fashion-mnist"));
    assert_eq!(world.done(&format!("{words} --data fashion-mnist --data-dir . --batch 7 --threads 2")), whole);
    world.fails(&format!("{words} --data ./fashion-mnist --batch 0"), 2, &["--batch", "1..=65536"]);
}

#[test]
fn more_epochs_than_a_run_was_begun_with_change_the_rate_and_that_is_said() {
    let world = World::new();
    world.done(&format!("{TRAIN} --epochs 1 --schedule cosine --out run"));
    let (code, _, err) = world.run("train --resume run --epochs 2 --max-steps 6");
    let said = "with 2 epochs instead of 1, the learning rate of step 6 is 5.000e-2, not 0.000e0";
    assert!(code == Some(0) && err.contains(said), "{err}");
    let (_, _, err) = world.run("train --resume run --epochs 2 --max-steps 7");
    assert!(!err.contains("instead of"), "{err}");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let world = World::new();
    world.done(&format!("{TRAIN} --epochs 2 --max-steps 9 --out whole"));
    world.done(&format!("{TRAIN} --epochs 2 --max-steps 3 --out run"));
    world.fails("train --resume run --lr 0.3 --seed 9", 2, &["seed: 0, now 9", "training.lr: 0.1, now 0.3"]);
    world.fails("train --resume run --out other", 2, &["cannot be used with"]);
    world.done("train --resume run --max-steps 9 --threads 2");
    assert_eq!(
        fs::read(world.path("run/last.safetensors")).unwrap(),
        fs::read(world.path("whole/last.safetensors")).unwrap()
    );
    world.fails(&format!("{TRAIN} --out run"), 1, &["run: holds a training run already"]);
}

/// Begins a run too long to end and waits for its fourth step.
fn begin_long_run(world: &World) -> Child {
    let mut command = world.command(&format!("{TRAIN} --epochs 100000 --out run"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while fs::read_to_string(world.path("run/log.jsonl")).map_or(0, |log| log.lines().count()) < 8 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no steps in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_kill_leaves_checkpoints_that_load() {
    let world = World::new();
    let mut child = begin_long_run(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    world.done("eval --weights run/last.safetensors --data ./fashion-mnist --json");
    world.done("eval --weights run/best.safetensors --data ./fashion-mnist --json");
    let log = world.text("run/log.jsonl");
    let steps = log.lines().filter(|line| line.contains("\"step\"")).count();
    world.done(&format!("train --resume run --max-steps {}", steps + 2));
    let steps_after = world.text("run/log.jsonl").lines().filter(|line| line.contains("\"step\"")).count();
    assert_eq!(steps_after, steps + 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let world = World::new();
    let child = begin_long_run(&world);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("densenet train --resume run"), "{err}");
    let steps = world.text("run/log.jsonl").lines().filter(|line| line.contains("\"step\"")).count();
    assert!(err.contains(&format!("saved at step {steps};")), "{err}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let world = World::new();
    let mut child = world.command("info densenet264").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!((code, &*err), (Some(0), ""));
}

#[test]
fn wrong_words_exit_with_two() {
    let world = World::new();
    world.fails("info densenet122", 2, &["densenet122", "densenet121"]);
    world.fails("train --model nothing --data ./fashion-mnist", 2, &["nothing", "densenet121"]);
    world.fails("train --model seed", 2, &["--data"]);
    world.fails("train --model seed --data ./fashion-mnist --size 8 --out run", 2, &["picture size 8x8", "smallest"]);
    world.fails("train --model seed --data ./fashion-mnist --lr 0", 2, &["lr is 0; it must be above 0"]);
    world.fails("train --model seed --data ./fashion-mnist --schedule wild", 2, &["constant", "steps", "cosine"]);
    world.fails("train --model seed --data ./fashion-mnist --drop-rate 1 --out run", 2, &["drop_rate is 1"]);
    world.fails("eval --weights x --data ./fashion-mnist --threads 0", 2, &["threads"]);
    assert!(!world.path("run").exists());
}

#[test]
fn an_instruction_set_that_there_is_not() {
    let world = World::new();
    let words = "bench infer --model seed --size 32 --seconds 0";
    let (code, out, err) = told(world.command(words).env("DENSENET_ISA", "mmx").output().unwrap());
    assert_eq!((code, &*out), (Some(2), ""), "{err}");
    assert!(err.contains("DENSENET_ISA") && err.contains("avx2") && !err.contains("panicked"), "{err}");
    let out = told(world.command(&format!("{words} --json")).env("DENSENET_ISA", "portable").output().unwrap()).1;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["isa"], "portable");
}

#[test]
fn every_way_of_training_resumes_with_its_settings() {
    let world = World::new();
    let words = "--optimizer adamw --ema 0.9 --clip-norm 1 --accumulate 2 --memory low --max-steps 2";
    world.done(&format!("{TRAIN} {words} --epochs 1 --out run"));
    world.fails(
        "train --resume run --optimizer sgd",
        2,
        &["begun otherwise", "training.optimizer: \"adamw\", now \"sgd\""],
    );
    world.fails("train --resume run --ema 0.5", 2, &["training.ema: 0.9, now 0.5"]);
    world.done("train --resume run --memory normal --max-steps 4");
    assert_eq!(world.text("run/log.jsonl").lines().filter(|line| line.contains("\"step\"")).count(), 4);
    world.fails(&format!("{TRAIN} --ema 1 --out other"), 2, &["ema is 1", "not including, 1"]);
    world.fails(&format!("{TRAIN} --optimizer adam --out other"), 2, &["adam", "adamw"]);
    world.fails(&format!("{TRAIN} --optimizer adamw --momentum 0.5 --out other"), 2, &["momentum", "sgd"]);
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

#[test]
fn a_loss_that_is_not_finite_names_step_and_rate_and_keeps_the_weights() {
    let world = World::new();
    world.fails(&format!("{TRAIN} --lr 1e30 --out run"), 1, &["at step", "learning rate 1", "run/last.safetensors"]);
    world.done("eval --weights run/last.safetensors --data ./fashion-mnist --json");
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let world = World::new();
    fs::write(world.path("file"), b"").unwrap();
    world.fails(&format!("{TRAIN} --out file/run"), 1, &["file/run"]);
}

#[test]
fn bench_tells_its_figures() {
    let world = World::new();
    for what in ["infer", "train"] {
        let out = world.done(&format!("bench {what} --model seed --size 32 --batch 2 --threads 2 --seconds 0 --json"));
        let figures: Value = serde_json::from_str(&out).unwrap();
        for name in ["median_ms", "min_ms", "images_per_s", "gflops", "fma_peak_gflops", "fma_peak_fraction"] {
            assert!(figures[name].as_f64().unwrap() > 0.0, "{name} of {what}");
        }
        assert_eq!((&figures["batch"], &figures["size"], &figures["threads"]), (&2.into(), &32.into(), &2.into()));
    }
    let out = world.done("bench train --model seed --size 32 --batch 2 --seconds 0 --memory low --profile");
    assert!(
        ["forward ms", "dgrad ms", "wgrad ms", "transition 3", "optimiser"].iter().all(|part| out.contains(part)),
        "{out}"
    );
    let bottlenecks = "bench train --model densenet-bc-40-12 --batch 2 --seconds 0 --profile";
    assert!(world.done(bottlenecks).contains("both ms"));
    let figures: Value = serde_json::from_str(&world.done(&format!("{bottlenecks} --json"))).unwrap();
    let gradients = |row: &&Value| row["stage"] == "block 1" && row["pass"] == "gradients";
    let row = figures["profile"].as_array().unwrap().iter().find(gradients).expect("gradients of block 1");
    assert!(row["ms"].as_f64().unwrap() > 0.0 && row["gflops"].as_f64().unwrap() > 0.0, "{row}");
    let infer = "bench infer --model seed --size 32 --batch 2 --seconds 0 --profile";
    let out = world.done(infer);
    let parts = ["features.denseblock1.denselayer1.conv1", "64→32 3x3 at 8x8", "pooled first", "transition", "\nall "];
    assert!(parts.iter().all(|part| out.contains(part)), "{out}");
    let figures: Value = serde_json::from_str(&world.done(&format!("{infer} --json"))).unwrap();
    let layers = figures["profile"]["layers"].as_array().unwrap();
    let share: f64 = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    assert_eq!((&layers[0]["name"], &layers[0]["method"]), (&"features.conv0".into(), &"plain".into()));
    assert_eq!(figures["profile"]["parts"][1]["part"], "3x3");
    world.fails("bench train --model densenet-bc-41-12", 2, &["depth 41"]);
    world.fails("bench train --model seed --memory lower", 2, &["lower", "normal", "low"]);
    world.fails("bench infer --model seed --size 20", 2, &["20x20", "smallest"]);
    world.fails("bench infer --model seed --seconds nan", 2, &["from 0 to 3600"]);
}

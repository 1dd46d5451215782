//! What every command prints, on a data set made up on the spot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::fashion::{TRAIN, World, bmp, npy};
use crate::folder::{golden, told};

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
    world.fails("export --weights fashion-mnist --format densenet --fold --out w", 2, &["--fold", "only for"]);
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

#[test]
fn a_checkpoint_says_what_it_is_and_is_told_what_it_does_not_say() {
    let world = World::new();
    let file = golden("checkpoints/torchvision.pth").display().to_string();
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
    let file = golden("checkpoints/torchvision.pth").display().to_string();
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
        ("a\nb\nc\nd\n", ["names.txt", "4 class names", "5 classes"]),
        ("a\n\nb\nc\nd\n", ["names.txt", "line 2", "empty"]),
        ("", ["names.txt", "0 class names", "5 classes"]),
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

/// Products of bfloat16 are taken where they are faster; where they are not, that is said.
#[test]
fn bfloat16_or_why_not() {
    let world = World::new();
    let words = "bench infer --model densenet-bc-22-12 --size 16 --seconds 0 --precision bf16 --profile --json";
    let ran = |isa: Option<&str>| {
        let (code, out, err) = told(world.command(words).envs(isa.map(|isa| ("DENSENET_ISA", isa))).output().unwrap());
        assert_eq!(code, Some(0), "{err}");
        let layers = serde_json::from_str::<Value>(&out).unwrap()["profile"]["layers"].clone();
        let taken = layers.as_array().unwrap().iter().any(|layer| layer["method"] == "bf16");
        assert_eq!(taken, !err.contains("bf16: this processor"), "{err}");
        taken
    };
    assert!(!ran(Some("portable")));
    ran(None);
}

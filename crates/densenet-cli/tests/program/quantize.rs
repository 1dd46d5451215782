//! `densenet quantize`, and what it writes.

use std::fs;

use serde_json::Value;

use crate::fashion::{TRAIN, World, bmp};

#[test]
fn a_quantised_file_is_read_by_the_other_commands() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 8 --out run"));
    let quantize = "quantize --weights run/best.safetensors";
    let told: Value =
        serde_json::from_str(&world.done(&format!("{quantize} --data ./fashion-mnist --out q.safetensors --json")))
            .unwrap();
    assert_eq!((&told["out"], &told["pictures"]), (&"q.safetensors".into(), &40.into()), "{told}");
    let (is, was) = (told["bytes"].as_u64().unwrap(), fs::metadata(world.path("run/best.safetensors")).unwrap().len());
    assert!(is * 2 < was, "{is} bytes of {was}");
    let eval = |options: &str| -> Value {
        let words = format!("eval --data ./fashion-mnist --json {options}");
        serde_json::from_str(&world.done(&words)).unwrap()
    };
    let loss = |options: &str| eval(options)["loss"].as_f64().unwrap();
    let [float, int8, back] = ["run/best.safetensors", "q.safetensors", "q.safetensors --precision f32"]
        .map(|weights| loss(&format!("--weights {weights}")));
    assert!((int8 - float).abs() < 0.05 * float && int8 != float && back != int8, "{float} {int8} {back}");
    let rounding = loss("--weights q.safetensors --precision bf16");
    assert!((rounding - back).abs() < 0.01 * back, "{rounding} {back}");
    world.done(&format!("{quantize} --out none.safetensors"));
    // After eight steps the running statistics tell little yet.
    assert!(loss("--weights none.safetensors --precision int8").is_finite());
    let info: Value = serde_json::from_str(&world.done("info q.safetensors --json")).unwrap();
    assert_eq!(info["card"]["dataset"], "./fashion-mnist");
    let bench = "bench infer --model densenet-bc-40-12 --size 8 --seconds 0 --precision int8 --profile --json";
    let bench: Value = serde_json::from_str(&world.done(bench)).unwrap();
    assert!(bench["profile"]["layers"].as_array().unwrap().iter().any(|layer| layer["method"] == "int8"), "{bench}");
}

#[test]
fn what_holds_no_integers_or_is_damaged_is_told() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 1 --out run"));
    let words = "eval --weights run/last.safetensors --data ./fashion-mnist --precision int8";
    world.fails(words, 2, &["run/last.safetensors holds no integers", "densenet quantize --weights"]);
    world.done("quantize --weights run/last.safetensors --out q.safetensors");
    let again = "quantize --weights q.safetensors --out again.safetensors";
    world.fails(again, 2, &["q.safetensors: its weights are already integers"]);
    assert!(!world.path("again.safetensors").exists());
    let nowhere = "quantize --weights run/last.safetensors --data nothing-there --out no-folder/q.safetensors";
    world.fails(nowhere, 1, &["no-folder/q.safetensors"]);
    let mut bytes = fs::read(world.path("q.safetensors")).unwrap();
    let at = bytes.windows(9).position(|name| name == b"map_scale").unwrap();
    bytes[at..at + 9].copy_from_slice(b"map_scala");
    fs::write(world.path("damaged.safetensors"), bytes).unwrap();
    let words = "eval --weights damaged.safetensors --data ./fashion-mnist";
    world.fails(words, 1, &["damaged.safetensors", "map_scal"]);
}

/// What is not said of pictures is told to be assumed.
#[test]
fn weights_that_do_not_say_how_pictures_are_prepared() {
    let world = World::new();
    world.done("export --weights fashion-mnist --format torchvision --out plain.safetensors");
    let mut bytes = fs::read(world.path("plain.safetensors")).unwrap();
    let at = bytes
        .windows(13)
        .position(|name| name == b"densenet_card")
        .expect("the card, which other programs do not write");
    bytes[at..at + 13].copy_from_slice(b"somebody_else");
    fs::write(world.path("plain.safetensors"), bytes).unwrap();
    let told = |words: &str| {
        let (code, _, told) = world.run(&format!("quantize --weights plain.safetensors --out q.safetensors{words}"));
        assert_eq!(code, Some(0), "{told}");
        told
    };
    assert!(told("").contains("outside -4 to 4"));
    assert!(!told(" --preset fashion-mnist").contains("outside"));
}

#[test]
fn integers_become_a_qdq_graph_which_is_not_read_back() {
    let world = World::new();
    world.done("quantize --weights fashion-mnist --out q.safetensors");
    world.done("export --weights q.safetensors --out q.onnx");
    world.done("export --weights q.safetensors --precision f32 --out whole.onnx");
    let [qdq, whole] = ["q.onnx", "whole.onnx"].map(|name| fs::read(world.path(name)).unwrap());
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(holds(&qdq, b"QuantizeLinear") && holds(&qdq, b"densenet_card") && !holds(&whole, b"QuantizeLinear"));
    assert!(qdq.len() * 2 < whole.len(), "{} bytes of {}", qdq.len(), whole.len());
    fs::write(world.path("renamed.pth"), qdq).unwrap();
    for name in ["q.onnx", "renamed.pth"] {
        let words = format!("eval --weights {name} --data ./fashion-mnist");
        world.fails(&words, 1, &[name, "an ONNX model", "give the weights that it was exported from"]);
    }
}

/// A picture that cannot be read is left out; a reference of other features, and the cut of connections, are of one arithmetic.
#[test]
fn what_is_no_picture_is_left_out_and_what_is_lost_is_told() {
    let world = World::new();
    for (class, level) in [("cat", 30), ("dog", 200)] {
        for part in ["train", "test"] {
            for number in 0..2 {
                world.write(&format!("p/{part}/{class}/{number}.bmp"), bmp(28, 28, level + number));
            }
        }
    }
    world.write("p/train/cat/none.bmp", b"no picture");
    let quantize = "quantize --weights cifar10 --data p --out q.safetensors";
    let (told, notes) = world.exits(0, &format!("{quantize} --json"));
    assert!(notes.contains("1 of 5 inputs could not be read"), "{notes}");
    assert!(notes.contains("densenet reference makes another"), "{notes}");
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["pictures"], 4, "{told}");
    let reuse = "reuse --weights q.safetensors --cut 0 --data p --part test --json";
    let effect = serde_json::from_str::<Value>(&world.done(reuse)).unwrap();
    let loss = |when: &str| effect["cut"][when]["loss"].clone();
    assert!(loss("before").is_number() && loss("before") == loss("after"), "{effect}");
}

//! Networks of eight bits in ONNX Runtime.

use std::fs;
use std::path::{Path, PathBuf};

use densenet::Config;
use densenet::checkpoint::Contents;
use densenet::config::Joining;

use crate::{cases, densenet, network, npy, npy_of, peers};

/// Writes the network of `config` with integers as ONNX, and its own logits.
fn write(folder: &Path, config: &Config) {
    let (card, network) = network(config);
    let architecture = network.architecture();
    let (parameters, running) = (network.parameters(), network.running());
    Contents { card: &card, architecture, parameters, running, quantization: None, reference: None }
        .save(&folder.join("ours.safetensors"))
        .unwrap();
    fs::write(folder.join("images.npy"), npy(config.in_channels, config.input_size, 7)).unwrap();
    densenet(folder, "quantize --weights ours.safetensors --out int8.safetensors");
    export(folder, "int8", "");
}

/// Writes `NAME.onnx` of `NAME.safetensors`, and its own logits of the pictures in `folder`.
fn export(folder: &Path, name: &str, options: &str) {
    densenet(folder, &format!("export --weights {name}.safetensors --out {name}.onnx {options}"));
    densenet(folder, &format!("predict --weights {name}.safetensors images.npy --logits {name}.npy --json"));
}

/// What ONNX Runtime makes of `NAME.onnx` is within `tolerance` in norm, and the likeliest class is the same for that share of
/// the pictures, or one whose logit is within a `tie` of it.
fn check(python: &Path, folder: &Path, name: &str, [tolerance, share, tie]: [f64; 3]) {
    let [tolerance, share, tie] = [tolerance, share, tie].map(|number| number.to_string());
    let words = [folder.display().to_string(), name.into(), tolerance, share, tie];
    print!("{}", peers::printed(python, "tests/peers/qdq.py", &words));
}

#[test]
fn onnx_runtime_computes_in_integers_what_we_do() {
    let Some(python) = peers::python() else { return };
    for (name, config) in cases().into_iter().filter(|(_, config)| config.joining == Joining::Dense) {
        println!("{name}");
        let world = tempfile::tempdir().unwrap();
        write(world.path(), &config);
        // Bytes that go the other way change others in turn, so deep networks drift; the likeliest of a thousand classes of an
        // untrained one is ahead by less than that.
        check(&python, world.path(), "int8", [0.05, 1.0, 0.05]);
    }
}

/// A trained network, with scales of pictures and with those of the batch-norms.
#[test]
fn onnx_runtime_agrees_about_a_thousand_pictures() {
    let weights =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/weights/densenet_bc_40_12_cifar10.pth.tar");
    let data = std::env::var_os("DENSENET_DATA").map(PathBuf::from).filter(|data| data.join("cifar10").is_dir());
    let (Some(python), true, Some(data)) = (peers::python(), weights.is_file(), data) else {
        println!("skipped: needs {} and cifar10 in $DENSENET_DATA", weights.display());
        return;
    };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    let (mean, std) = ([125.3, 123.0, 113.9], [63.0, 62.1, 66.7]);
    let records = fs::read(data.join("cifar10/test_batch.bin")).unwrap();
    let pixel = |(i, &byte): (usize, &u8)| (f32::from(byte) - mean[i / 1024]) / std[i / 1024];
    let pictures = records.chunks(3073).take(1000).flat_map(|record| record[1..].iter().enumerate().map(pixel));
    fs::write(folder.join("images.npy"), npy_of([1000, 3, 32, 32], pictures)).unwrap();
    let of = |values: [f32; 3]| values.map(|value| (value / 255.0).to_string()).join(",");
    let words = format!("--weights {} --size 32 --mean {} --std {}", weights.display(), of(mean), of(std));
    let pictures = format!("--data cifar10 --data-dir {} --pictures 64", data.display());
    for (name, scales) in [("with", &*pictures), ("without", "")] {
        densenet(folder, &format!("quantize {words} {scales} --out {name}.safetensors"));
        export(folder, name, "--fold");
        check(&python, folder, name, [0.03, 0.99, 0.0]);
    }
}

//! What `densenet export` writes, in torchvision, timm, the ONNX checker and ONNX Runtime, and what timm writes.
//!
//! Runs where the environment variable `DENSENET_PEERS` names a Python virtual environment with torchvision, timm, onnx,
//! onnxruntime and safetensors, as `bench/` makes one.

mod explained;
mod features;
mod hub;
mod qdq;
mod serve;

#[path = "../../../densenet/tests/common/kinds.rs"]
mod kinds;
#[path = "../../../densenet/tests/common/peers.rs"]
mod peers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use densenet::checkpoint::{Card, Contents, Reader};
use densenet::config::{HeadPool, Stem};
use densenet::data::Preprocessing;
use densenet::{Architecture, Config, DenseNet, torchvision};
use densenet_kernels::random::Stream;
use serde_json::json;

/// The networks that are exported in every way: those that torchvision has, the article's, and a small one of every kind.
fn cases() -> Vec<(&'static str, Config)> {
    let preset = |name| Config { input_size: 64, ..Config::preset(name).unwrap() };
    let presets = ["densenet121", "densenet161", "densenet169", "densenet201", "seed"];
    let small = Config {
        block_config: vec![2, 3],
        growth_rate: 8,
        num_init_features: 10,
        num_classes: 5,
        stem: Stem::Cifar,
        bn_size: None,
        ..preset("densenet121")
    };
    // A sum over all pixels rounds the more the more there are.
    let fewer_pixels = |(name, config): (_, Config)| match config.head_pool {
        HeadPool::None => (name, Config { input_size: 32, ..config }),
        HeadPool::Average | HeadPool::Max => (name, config),
    };
    let kinds = kinds::kinds(&small).into_iter().map(fewer_pixels);
    presets.map(|name| (name, preset(name))).into_iter().chain(kinds).collect()
}

/// A network whose batch-norms all do something, and its card.
fn network(config: &Config) -> (Card, DenseNet) {
    let drawn = DenseNet::<f32>::new(config, 11).unwrap();
    let random = Stream::new(5, 0);
    let parameters = drawn.parameters().iter().zip(0u64..).map(|(&value, i)| value + 0.02 * random.normal(i) as f32);
    let running = (0..drawn.running().len() as u64).map(|i| 0.1 + 0.9 * random.uniform(!i) as f32).collect();
    let network = DenseNet::from_arenas(config, parameters.collect(), running).unwrap();
    let (mean, std) = (vec![0.4; config.in_channels], vec![0.3; config.in_channels]);
    let card = Card {
        preprocessing: Some(Preprocessing::new(config.input_size, mean, std)),
        labels: (0..config.num_classes).map(|i| format!("class {i}")).collect(),
        dataset: "made-up".into(),
        seed: 11,
        licence: Some("CC0-1.0".into()),
        batches_tracked: 17,
        ..Card::of(config.clone())
    };
    (card, network)
}

/// Python, if it can import `modules` of `package`.
fn python_with(package: &str, modules: &str) -> Option<PathBuf> {
    let python = peers::python()?;
    let output = Command::new(&python).args(["-c", &format!("import {modules}")]).output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        println!("skipped: no {package}: {}", why.lines().last().unwrap_or_default());
        return None;
    }
    Some(python)
}

/// What the program, which must succeed, writes to stdout.
fn output_of(folder: &Path, words: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
    let output = command.args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "densenet {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn densenet(folder: &Path, words: &str) {
    output_of(folder, words);
}

/// `(2, C, H, W)` of float32 with a `.npy` header.
fn npy(channels: usize, size: usize, seed: u64) -> Vec<u8> {
    let random = Stream::new(seed, 0);
    let shape = [2, channels, size, size];
    npy_of(shape, (0..shape.iter().product::<usize>() as u64).map(|i| random.normal(i) as f32))
}

/// `values` of float32 with a `.npy` header.
fn npy_of([n, c, h, w]: [usize; 4], values: impl Iterator<Item = f32>) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    let header = format!("{header:<117}\n");
    let values: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &values].concat()
}

/// Writes a network to `ours.safetensors`.
fn saved(folder: &Path, card: &Card, network: &DenseNet) {
    let (architecture, parameters, running) = (network.architecture(), network.parameters(), network.running());
    Contents { card, architecture, parameters, running, quantization: None, reference: None }
        .save(&folder.join("ours.safetensors"))
        .unwrap();
}

/// Writes the case's network in every format, and its logits for pictures of two sizes.
fn write(folder: &Path, name: &str, config: &Config) -> DenseNet {
    fs::create_dir(folder).unwrap();
    let (card, network) = network(config);
    saved(folder, &card, &network);
    let export = "export --weights ours.safetensors";
    densenet(folder, &format!("{export} --format torchvision --out torchvision.safetensors"));
    densenet(folder, &format!("{export} --out plain.onnx"));
    densenet(folder, &format!("{export} --fold --out folded.onnx"));
    if config.head_pool != HeadPool::None {
        densenet(folder, &format!("{export} --fold --dynamic-size --out dynamic.onnx"));
    }
    let (larger, _) = kinds::size(config, (config.input_size + 22, config.input_size + 22));
    for (part, size) in [("native", config.input_size), ("larger", larger)] {
        fs::write(folder.join(format!("{part}.npy")), npy(config.in_channels, size, size as u64)).unwrap();
        densenet(
            folder,
            &format!("predict --weights torchvision.safetensors {part}.npy --logits {part}.logits.npy --json"),
        );
    }
    let case = json!({ "name": name, "config": config, "torchvision": torchvision::beyond(config).is_empty() });
    fs::write(folder.join("case.json"), case.to_string()).unwrap();
    network
}

#[test]
fn other_programs_read_what_is_exported() {
    let Some(python) = peers::python() else { return };
    for (name, config) in cases() {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path().join(name);
        let network = write(&folder, name, &config);
        print!("{}", peers::printed(&python, "tests/peers/check.py", &[&folder]));
        if torchvision::beyond(&config).is_empty() {
            comes_back(&folder, &network);
        }
    }
}

/// The commands that follow `heading` in the README.
fn commands(readme: &str, heading: &str) -> String {
    let section = readme.split(&format!("\n{heading}\n\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let lines: Vec<&str> = section.lines().map_while(|line| line.strip_prefix("    ")).collect();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    lines.join("\n")
}

/// The README's paths from a torchvision checkpoint to predictions and back, and to ONNX, as they stand there; only the
/// trained weights, which would have to be downloaded, are random ones.
#[test]
fn the_paths_in_the_readme() {
    let Some(python) = peers::python() else { return };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(crates.join("../../README.md")).unwrap();
    let script = ["## Your own weights", "## ONNX"].map(|heading| commands(&readme, heading)).join("\n");
    let script = script.replacen("densenet121(weights=w)", "densenet121()", 1);
    let same = "import torch, safetensors.torch as s; a, b = torch.load('densenet121.pth'), \
                s.load_file('densenet121.safetensors'); \
                assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)";
    let world = tempfile::tempdir().unwrap();
    fs::copy(crates.join("../densenet/tests/goldens/preprocessing/dress.jpg"), world.path().join("photo.jpg")).unwrap();
    let mut programs: Vec<PathBuf> =
        [&*python, Path::new(env!("CARGO_BIN_EXE_densenet"))].map(|program| program.parent().unwrap().into()).to_vec();
    programs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &format!("{script}\npython3 -c \"{same}\"")]).current_dir(world.path());
    let output = shell.env("PATH", std::env::join_paths(programs).unwrap()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{err}");
    let names = fs::read_to_string(world.path().join("imagenet.txt")).unwrap();
    let prediction = out.lines().find_map(|line| line.strip_prefix("photo.jpg: ")).unwrap_or_else(|| panic!("{out}"));
    let named = names.lines().filter(|name| prediction.contains(&format!("{name} "))).count();
    assert!(names.lines().count() == 1000 && named >= 3, "{prediction}");
}

/// What torchvision saved of what it loaded is the same to the bit, and so is what is exported from it.
fn comes_back(folder: &Path, network: &DenseNet) {
    let architecture = Architecture::new(&network.architecture().config).unwrap();
    let weights = Reader::open(&folder.join("back.safetensors")).unwrap().weights(&architecture).unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(
        bits(&weights.parameters) == bits(network.parameters()) && bits(&weights.running) == bits(network.running())
    );
    densenet(folder, "export --weights torchvision.safetensors --format torchvision --out again.safetensors");
    assert!(
        fs::read(folder.join("again.safetensors")).unwrap()
            == fs::read(folder.join("torchvision.safetensors")).unwrap()
    );
}

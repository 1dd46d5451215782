//! The examples do what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

use densenet::models;
use densenet::onnx::proto::ModelProto;
use image::{Rgb, RgbImage};
use prost::Message;

/// The example `name`, which Cargo builds beside this test.
fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{}: not built; cargo test builds it, as does cargo build --examples", path.display());
    path
}

/// The lines that an example prints, which must succeed.
fn lines(name: &str, arguments: &[&Path]) -> Vec<String> {
    let output = Command::new(executable(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

/// A picture of 40x30 with bars of that width.
fn write_picture(path: &Path, bar: u32) {
    let pixel =
        |x: u32, y: u32| if (x / bar + y / 8).is_multiple_of(2) { Rgb([200, 60, 30]) } else { Rgb([20, 90, 160]) };
    RgbImage::from_fn(40, 30, pixel).save(path).unwrap();
}

#[test]
fn build_tells_costs_and_the_shape_of_logits() {
    let printed = lines("build", &[]);
    assert!(printed[0].contains(" parameters, ") && printed[0].ends_with(" multiply-adds"), "{printed:?}");
    assert_eq!(printed[1], "logits (2, 14)");
}

#[test]
fn predict_prints_the_likeliest_classes() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("a.png");
    write_picture(&picture, 4);
    let printed = lines("predict", &[Path::new("cifar10"), &picture]);
    let labels = models::open(Path::new("cifar10")).unwrap().card().unwrap().labels;
    let classes: Vec<(&str, f64)> = printed
        .iter()
        .map(|line| line.trim_end_matches(" %").split_once(": ").unwrap())
        .map(|(label, percent)| (label, percent.parse().unwrap()))
        .collect();
    assert_eq!(classes.len(), 3);
    assert!(classes.iter().all(|(label, _)| labels.iter().any(|known| known == label)), "{printed:?}");
    assert!(classes.is_sorted_by(|a, b| a.1 >= b.1) && classes[0].1 >= 10.0, "{printed:?}");
}

#[test]
fn features_are_most_like_those_of_the_same_picture() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = ["a.png", "same.bmp", "other.png"].map(|name| folder.path().join(name));
    pictures.iter().zip([4, 4, 13]).for_each(|(path, bar)| write_picture(path, bar));
    let arguments = [Path::new("cifar10"), &pictures[0], &pictures[1], &pictures[2]];
    let cosine = |line: &String| line.rsplit_once(": ").unwrap().1.parse::<f64>().unwrap();
    let cosines: Vec<f64> = lines("features", &arguments).iter().map(cosine).collect();
    assert_eq!(cosines.len(), 3);
    assert!(cosines[..2] == [1.0; 2] && (-1.0..0.9999).contains(&cosines[2]), "{cosines:?}");
}

#[test]
fn train_loop_learns() {
    let loss = |line: &String| line.rsplit_once(" loss ").unwrap().1.parse::<f64>().unwrap();
    let losses: Vec<f64> = lines("train_loop", &[]).iter().map(loss).collect();
    assert_eq!(losses.len(), 20);
    assert!(losses[19] < 0.7 * losses[0], "{losses:?}");
}

#[test]
fn export_onnx_writes_the_network_as_a_graph() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.onnx");
    let printed = lines("export_onnx", &[Path::new("fashion-mnist"), &file]);
    assert!(printed[0].ends_with(" parameters"), "{printed:?}");
    let graph = ModelProto::decode(&*std::fs::read(&file).unwrap()).unwrap().graph.unwrap();
    let count = |operator: &str| graph.node.iter().filter(|node| node.op_type.as_deref() == Some(operator)).count();
    let config = models::open(Path::new("fashion-mnist")).unwrap().card().unwrap().config;
    assert!(count("Conv") >= config.block_config.iter().sum::<usize>() && count("Gemm") == 1, "{}", graph.node.len());
    assert_eq!((&*graph.input[0].name.clone().unwrap(), &*graph.output[0].name.clone().unwrap()), ("images", "logits"));
}

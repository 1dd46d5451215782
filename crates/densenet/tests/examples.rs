//! The examples run, and print what they promise.

use std::path::Path;
use std::process::Command;

/// What an example prints.
fn printed(example: &str, words: &[&Path]) -> String {
    let cargo = ["run", "--quiet", "--locked", "--package", "densenet", "--example", example, "--"];
    let output = Command::new(env!("CARGO")).args(cargo).args(words).output().expect("cargo runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// A picture of one colour, as an uncompressed BMP of 24 bits.
fn bmp(path: &Path, side: u32, colour: [u8; 3]) {
    let row = (3 * side).next_multiple_of(4);
    let header = [54 + row * side, 0, 54, 40, side, side, 24 << 16 | 1, 0, row * side, 0, 0, 0, 0];
    let mut bytes = b"BM".to_vec();
    bytes.extend(header.iter().flat_map(|number| number.to_le_bytes()));
    for _ in 0..side {
        let pixels: Vec<u8> = colour.repeat(side as usize);
        bytes.extend(pixels.into_iter().chain(std::iter::repeat(0)).take(row as usize));
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_network_is_built_and_its_costs_are_told() {
    let text = printed("build", &[]);
    assert!(text.contains("parameters") && text.contains("logits (2, 14)"), "{text}");
}

#[test]
fn the_loss_of_a_loop_of_ones_own_falls() {
    let text = printed("train_loop", &[]);
    let losses: Vec<f64> = text.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(losses.len() == 20 && losses[19] < 0.7 * losses[0], "{text}");
}

#[test]
fn pictures_are_predicted_and_compared_and_weights_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, onnx) =
        (folder.path().join("a.bmp"), folder.path().join("b.bmp"), folder.path().join("cifar10.onnx"));
    bmp(&first, 40, [200, 120, 30]);
    bmp(&second, 64, [20, 180, 90]);
    let model = Path::new("cifar10");
    let text = printed("predict", &[model, &first]);
    assert!(text.lines().count() == 3 && text.lines().all(|line| line.ends_with(" %")), "{text}");
    let text = printed("features", &[model, &first, &second]);
    assert!(text.lines().count() == 2 && text.contains("a.bmp: 1.0000"), "{text}");
    printed("export_onnx", &[model, &onnx]);
    assert!(std::fs::metadata(&onnx).unwrap().len() > 100_000);
}

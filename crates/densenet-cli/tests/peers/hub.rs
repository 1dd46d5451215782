//! Folders of weights that timm reads and writes.

use std::path::Path;

use densenet::checkpoint::Contents;
use densenet::data::{Preprocessing, Resize};
use densenet::{Card, Config};
use serde_json::Value;

use crate::{densenet, network, npy, output_of, peers};

/// Of a probability.
const TOLERANCE: f64 = 1e-3;

#[test]
fn timm_reads_the_folder_that_is_exported_and_answers_the_same() {
    let Some(python) = peers::python() else { return };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    let config = Config { input_size: 64, num_classes: 5, ..Config::preset("densenet121").unwrap() };
    let (card, network) = network(&config);
    let preprocessing = card.preprocessing.map(|how| Preprocessing { resize: Resize::Short, ..how });
    let (card, architecture) = (Card { preprocessing, ..card }, network.architecture());
    let (parameters, running) = (network.parameters(), network.running());
    Contents { card: &card, architecture, parameters, running, quantization: None, reference: None }
        .save(&folder.join("ours.safetensors"))
        .unwrap();
    std::fs::write(folder.join("images.npy"), npy(3, 64, 64)).unwrap();
    densenet(folder, "export --weights ours.safetensors --format timm --out hub");
    densenet(folder, "predict --weights ours.safetensors images.npy --logits logits.npy --json");
    print!("{}", peers::printed(&python, "tests/peers/hub.py", &["load".as_ref(), folder]));
}

#[test]
fn a_folder_of_timm_predicts_a_jpeg_as_timm_does() {
    let Some(python) = peers::python() else { return };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/preprocessing/dress.jpg");
    let printed = peers::printed(&python, "tests/peers/hub.py", &["save".as_ref(), folder, &jpeg]);
    let theirs: Vec<f64> = serde_json::from_str(&printed).unwrap();
    let words = format!("predict --weights hub {} --json --top 7", jpeg.display());
    let furthest = |options: &str| {
        let said: Value = serde_json::from_str(&output_of(folder, &format!("{words} {options}"))).unwrap();
        let classes = said["predictions"][0]["classes"].as_array().unwrap();
        let off = classes.iter().map(|class| {
            let theirs = theirs[class["index"].as_u64().unwrap() as usize];
            (class["probability"].as_f64().unwrap() - theirs).abs()
        });
        assert_eq!(off.len(), 7);
        off.fold(0.0, f64::max)
    };
    let off = furthest("");
    println!("timm, {}: {off:.1e}", jpeg.display());
    assert!(off <= TOLERANCE, "{off}");
    assert!(furthest("--interpolation bilinear") > TOLERANCE, "what is said of pictures matters");
}

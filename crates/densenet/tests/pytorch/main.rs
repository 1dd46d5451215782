//! Networks of torchvision, whose outputs at 224x224 ours must equal.
//!
//! Runs where the environment variable `DENSENET_PEERS` names a Python virtual environment with torchvision and
//! safetensors, as `bench/` makes one.

#[path = "../common/distance.rs"]
mod distance;
#[path = "../common/peers.rs"]
mod peers;

use std::path::Path;

use densenet::checkpoint::Reader;
use densenet::{Architecture, Config, DenseNet};
use distance::distance;
use ndarray::Array4;
use safetensors::SafeTensors;

/// Largest distance of the logits from PyTorch's in `f64`, relative in norm.
const TOLERANCE: f64 = 1e-5;

const NAMES: [&str; 4] = ["densenet121", "densenet161", "densenet169", "densenet201"];

#[test]
fn predictions_are_torchvisions() {
    let Some(python) = peers::python() else { return };
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let theirs = peers::printed(&python, "tests/pytorch/outputs.py", &[Path::new(name), folder.path()]);
        let distance = distance_of(name, folder.path());
        println!("{name}: {distance:.1e} from PyTorch in f64; PyTorch in f32 is {theirs}");
        assert!(distance <= TOLERANCE, "{name}: logits are {distance:.1e} from PyTorch's");
    }
}

/// How far our output is from the one in `folder`.
fn distance_of(name: &str, folder: &Path) -> f64 {
    let config = Config::preset(name).unwrap();
    let mut reader = Reader::open(&folder.join("weights.safetensors")).unwrap();
    let weights = reader.weights(&Architecture::new(&config).unwrap()).unwrap();
    let network = DenseNet::from_arenas(&config, weights.parameters, weights.running).unwrap();
    let bytes = std::fs::read(folder.join("outputs.safetensors")).unwrap();
    let outputs = SafeTensors::deserialize(&bytes).unwrap();
    let images: Vec<f32> = bytemuck::pod_collect_to_vec(outputs.tensor("images").unwrap().data());
    let expected: Vec<f64> = bytemuck::pod_collect_to_vec(outputs.tensor("logits").unwrap().data());
    let images = Array4::from_shape_vec((1, 3, 224, 224), images).unwrap();
    let logits = network.logits(images.view()).unwrap();
    distance(logits.iter().map(|&logit| logit.into()), &expected, 0.0)
}

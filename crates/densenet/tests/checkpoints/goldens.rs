//! Logits of checkpoints in every spelling and format, against PyTorch's.

use std::path::{Path, PathBuf};

use densenet::config::{Stem, StemShape};

use crate::outputs::{Outputs, pictures, read};
use crate::peers;

/// What logits may differ by, relatively and in norm.
const TOLERANCE: f64 = 1e-5;

/// What gradients of networks of a hundred layers may differ by: PyTorch's own in `f32` are 4e-3 to 1.6e-2 from those in
/// `f64`, by the ReLUs that rounding switches; a wrong gradient would be wrong by as much as it is.
const DEEP: f64 = 2e-2;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/checkpoints")
}

/// The small checkpoints, with their input channels and classes.
const SMALL: [(&str, usize, usize); 14] = [
    ("torchvision.pth", 3, 5),
    ("torchvision.legacy.pth", 3, 5),
    ("torchvision.safetensors", 3, 5),
    ("torchvision-old.pth", 3, 5),
    ("torchvision-old.legacy.pth", 3, 5),
    ("torchvision-old.safetensors", 3, 5),
    ("wrapped.pth.tar", 3, 5),
    ("whole-module.pt", 3, 5),
    ("half.safetensors", 3, 5),
    ("timm.safetensors", 3, 5),
    ("torchxrayvision.pt", 1, 18),
    ("monai.pth", 1, 2),
    ("cifar.legacy.pth", 3, 6),
    ("cifar-stem-norm.safetensors", 3, 6),
];

#[test]
fn every_spelling_and_format_answers_as_pytorch() {
    let outputs = Outputs::load(&folder().join("outputs.safetensors"));
    for (name, in_channels, num_classes) in SMALL {
        let (config, network) = read(&folder().join(name));
        let told = (config.in_channels, config.num_classes, config.growth_rate, config.num_init_features);
        assert_eq!(told, (in_channels, num_classes, 4, 8), "{name}");
        let (blocks, bn_size, stem) = match name {
            "cifar.legacy.pth" => (vec![2, 2, 3], 4, Stem::Cifar),
            "cifar-stem-norm.safetensors" => {
                (vec![2, 2, 3], 4, Stem::of(StemShape { norm: true, ..Stem::Cifar.shape() }))
            }
            _ => (vec![2, 3, 2], 2, Stem::ImageNet),
        };
        assert_eq!((config.block_config, config.bn_size, config.stem), (blocks, Some(bn_size), stem), "{name}");
        assert_eq!((config.compression, config.bias), (0.5, false), "{name}");
        let logits = network.logits(pictures((3, in_channels, 40, 44)).view()).unwrap();
        outputs.assert_near(&format!("{name} logits"), logits.iter().map(|&v| v.into()), TOLERANCE);
    }
}

#[test]
fn a_training_step_from_a_checkpoint_is_pytorchs() {
    let outputs = Outputs::load(&folder().join("outputs.safetensors"));
    let (_, mut network) = read(&folder().join("torchvision.pth"));
    outputs.assert_step("torchvision.pth ", &mut network, &pictures((6, 3, 40, 44)), 1e-4);
}

/// The networks of torchvision and timm at full size, which `$DENSENET_PEERS`, a virtual environment, writes.
#[test]
fn torchvisions_and_timms_own_networks_answer_as_they_do() {
    let Some(python) = peers::python() else { return };
    let made = tempfile::tempdir().unwrap();
    peers::printed(&python, "tests/goldens/checkpoints.py", &[made.path()]);
    let (images, batch) = (pictures((3, 3, 64, 64)), pictures((4, 3, 96, 96)));
    for (name, layers) in
        [("densenet121", 58), ("densenet161", 78), ("densenet169", 82), ("densenet201", 98), ("timm121", 58)]
    {
        let outputs = Outputs::load(&made.path().join(format!("{name}.outputs.safetensors")));
        for ending in ["pth", "old.legacy.pth", "safetensors"] {
            let (config, mut network) = read(&made.path().join(format!("{name}.{ending}")));
            assert_eq!(config.block_config.iter().sum::<usize>(), layers, "{name}.{ending}");
            let logits = network.logits(images.view()).unwrap();
            outputs.assert_near("logits", logits.iter().map(|&v| v.into()), TOLERANCE);
            if ending == "safetensors" {
                outputs.assert_step("", &mut network, &batch, DEEP);
            }
            println!("{name}.{ending}: as PyTorch");
        }
    }
}

//! What PyTorch made of a checkpoint, and the comparison with it. `../goldens/checkpoints.py` makes both.

use std::collections::HashMap;
use std::path::Path;

use densenet::checkpoint::Reader;
use densenet::network::{Backprop, DenseNet, StepOptions};
use densenet::{Architecture, Config};
use ndarray::Array4;
use safetensors::{Dtype, SafeTensors};

use crate::distance::distance;
use crate::named::stream;

/// PyTorch's outputs in `f64`, by name.
pub struct Outputs {
    doubles: HashMap<String, Vec<f64>>,
    singles: HashMap<String, Vec<f32>>,
}

impl Outputs {
    pub fn load(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let of = |dtype| tensors.iter().filter(move |(_, tensor)| tensor.dtype() == dtype);
        let doubles = |data: &[u8]| data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let singles = |data: &[u8]| data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Self {
            doubles: of(Dtype::F64).map(|(name, tensor)| (name.to_owned(), doubles(tensor.data()))).collect(),
            singles: of(Dtype::F32).map(|(name, tensor)| (name.to_owned(), singles(tensor.data()))).collect(),
        }
    }

    /// What stands in single precision under `name`.
    pub fn singles(&self, name: &str) -> Vec<f32> {
        self.singles[name].clone()
    }

    /// Checks that `ours` is within a relative `tolerance` in norm of the output `name`.
    pub fn assert_near(&self, name: &str, ours: impl Iterator<Item = f64>, tolerance: f64) {
        let theirs = self.doubles.get(name).unwrap_or_else(|| panic!("no output {name}"));
        let error = distance(ours, theirs, 0.0);
        assert!(error <= tolerance, "{name} is {error:.1e} from PyTorch's; {tolerance:.0e} is allowed");
    }

    /// Checks a training step on `pictures`: logits and loss, and all gradients together.
    ///
    /// Gradients are held to `tolerance`: where a pre-activation is within rounding of zero, `f32` may put it on either
    /// side of the ReLU. The outputs tell how far PyTorch's own gradients in `f32` are, as `float32 distance`.
    pub fn assert_step(&self, prefix: &str, network: &mut DenseNet, pictures: &Array4<f32>, tolerance: f64) {
        let (count, classes) = (pictures.dim().0, network.architecture().config.num_classes);
        let labels: Vec<u32> = (0..count).map(|i| (i % classes) as u32).collect();
        let mut backprop = Backprop::new(network);
        let outcome = backprop.run(network, pictures.view(), &labels, &StepOptions::default()).unwrap();
        self.assert_near(&format!("{prefix}train logits"), outcome.logits.iter().map(|&v| v.into()), 1e-5);
        self.assert_near(&format!("{prefix}loss"), std::iter::once(outcome.loss), 1e-5);
        let (mut difference, mut whole) = (0.0, 0.0);
        for tensor in &network.architecture().parameters {
            let theirs = &self.doubles[&format!("{prefix}gradient {}", tensor.name)];
            for (&ours, theirs) in backprop.gradients()[tensor.range.clone()].iter().zip(theirs) {
                difference += (f64::from(ours) - theirs).powi(2);
                whole += theirs * theirs;
            }
        }
        let error = (difference / whole).sqrt();
        assert!(error <= tolerance, "{prefix}gradients are {error:.1e} from PyTorch's; {tolerance:.0e} is allowed");
    }
}

/// What a file without a card is told to hold, with its weights.
pub fn read(path: &Path) -> (Config, DenseNet) {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{error}"));
    assert!(!reader.has_card(), "{}", path.display());
    let config = reader.infer().unwrap_or_else(|error| panic!("{error}")).config;
    let weights = reader.weights(&Architecture::new(&config).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let network = DenseNet::from_arenas(&config, weights.parameters, weights.running).unwrap();
    (config, network)
}

/// The pictures `(N, C, H, W)` that the outputs are to.
pub fn pictures(shape: (usize, usize, usize, usize)) -> Array4<f32> {
    let stream = stream("images");
    let mut index = 0..;
    Array4::from_shape_simple_fn(shape, || {
        let unit = stream.uniform(index.next().expect("endless"));
        (-1.0 + 2.0 * unit) as f32
    })
}

//! What PyTorch found, and the comparison with it. `../goldens/networks.py` tells what the files hold and makes them.

use std::collections::HashMap;
use std::path::Path;

use densenet::architecture::Tensor;
use densenet::config::{HeadPool, PoolKind, Stem, StemPool, StemShape};
use densenet::optimiser::Sgd;
use densenet::reference::{Batch, Step, Training};
use densenet::{Architecture, Config};
use densenet_kernels::Real;
use densenet_kernels::Scalar;
use densenet_kernels::reference::Shape4;
use safetensors::SafeTensors;

use crate::bounds::bounds;
use crate::distance::distance;
use crate::named::stream;

/// Numbers that a sketch keeps of a tensor.
const SIGNS: usize = 64;

/// What is held to PyTorch.
pub trait Network<T> {
    /// Logits in inference.
    fn logits(&self, arch: &Architecture, parameters: &[T], running: &[T], batch: &Batch<'_, T>) -> Vec<T>;
    /// A training step; `running` moves.
    fn train(
        &self,
        arch: &Architecture,
        parameters: &[T],
        running: &mut [T],
        batch: &Batch<'_, T>,
        training: Training,
    ) -> Step<T>;
}

/// A network, its made-up values, and PyTorch's outputs in `f64`.
pub struct Golden {
    /// The network.
    arch: Architecture,
    /// `(N, C, H, W)` of every batch.
    shape: Shape4,
    /// The loss's smoothing; there is no dropout.
    training: Training,
    /// The batch of inference and of the single training step, and the first of ten steps.
    first: usize,
    /// Of the ten steps.
    learning_rate: f64,
    /// Whether gradients are sketched.
    sketched: bool,
    outputs: HashMap<String, Vec<f64>>,
}

impl Golden {
    /// The article's network.
    pub fn article() -> Self {
        let shape = Shape4::new(4, 1, 64, 72);
        Self {
            first: 1,
            sketched: true,
            learning_rate: 0.0001,
            ..Self::load("article", Config::preset("seed").unwrap(), shape)
        }
    }

    /// A small DenseNet-BC with odd sizes.
    pub fn small_bc() -> Self {
        let config = Config {
            num_classes: 7,
            stem: Stem::Cifar,
            num_init_features: 7,
            block_config: vec![2, 3, 2],
            growth_rate: 5,
            bn_size: Some(3),
            compression: 0.6,
            ..Config::preset("densenet-bc-40-12").unwrap()
        };
        let shape = Shape4::new(3, 3, 37, 29);
        let training = Training { label_smoothing: 0.1, dropout_seed: 0 };
        Self { first: 14, training, ..Self::load("small_bc", config, shape) }
    }

    /// Maxima of 2x2 pixels after the stem; all pixels of the last maps, without a last ReLU, through a hidden layer.
    pub fn flat() -> Self {
        let pool = StemPool { kind: PoolKind::Max, kernel: 2, stride: 2, padding: 0 };
        let config = Config {
            in_channels: 2,
            num_classes: 5,
            stem: Stem::Other(StemShape { kernel: 3, stride: 1, norm: true, pool: Some(pool) }),
            num_init_features: 6,
            growth_rate: 5,
            final_relu: false,
            head_pool: HeadPool::None,
            hidden: vec![7],
            input_size: 13,
            ..two_blocks()
        };
        Self { first: 34, ..Self::load("flat", config, Shape4::new(3, 2, 13, 13)) }
    }

    /// Means of padded 3x3 pixels after the stem; maxima of the last maps through two hidden layers.
    pub fn maxima() -> Self {
        let pool = StemPool { kind: PoolKind::Average, kernel: 3, stride: 2, padding: 1 };
        let config = Config {
            num_classes: 4,
            stem: Stem::Other(StemShape { kernel: 5, stride: 1, norm: true, pool: Some(pool) }),
            num_init_features: 7,
            growth_rate: 4,
            compression: 0.6,
            bias: true,
            head_pool: HeadPool::Max,
            hidden: vec![9, 6],
            ..two_blocks()
        };
        let training = Training { label_smoothing: 0.1, dropout_seed: 0 };
        Self { first: 4, training, ..Self::load("maxima", config, Shape4::new(4, 3, 14, 17)) }
    }

    fn load(name: &str, config: Config, shape: Shape4) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let doubles = |data: &[u8]| data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let outputs = tensors.iter().map(|(name, tensor)| (name.to_owned(), doubles(tensor.data()))).collect();
        let training = Training { label_smoothing: 0.0, dropout_seed: 0 };
        let arch = Architecture::new(&config).unwrap();
        Self { arch, shape, training, first: 0, learning_rate: 0.001, sketched: false, outputs }
    }

    /// The parameters that everything starts from.
    fn parameters<T: Scalar>(&self) -> Vec<T> {
        self.arch.parameters.iter().flat_map(made_up).collect()
    }

    /// The running statistics that everything starts from.
    fn running<T: Scalar>(&self) -> Vec<T> {
        self.arch.running.iter().flat_map(made_up).collect()
    }

    /// Pictures of the batch of that number.
    fn images<T: Scalar>(&self, number: usize) -> Vec<T> {
        uniform(&format!("images {number}"), self.shape.len(), -1.0, 1.0)
    }

    /// Labels of the batch of that number.
    fn labels(&self, number: usize) -> Vec<usize> {
        let (stream, classes) = (stream(&format!("labels {number}")), self.arch.config.num_classes as u64);
        (0..self.shape.n as u64).map(|i| (stream.bits(i) % classes) as usize).collect()
    }

    /// Holds inference's logits and a training step of a `network` to PyTorch's, within a relative `tolerance` in norm.
    pub fn assert_step<T: Scalar>(&self, tolerance: f64, network: &impl Network<T>) {
        let (parameters, mut running) = (self.parameters::<T>(), self.running());
        let (images, labels) = (self.images(self.first), self.labels(self.first));
        let batch = Batch { shape: self.shape, images: &images, labels: &labels };
        self.assert_near("eval.logits", &network.logits(&self.arch, &parameters, &running, &batch), 0.0, tolerance);
        let step = network.train(&self.arch, &parameters, &mut running, &batch, self.training);
        self.assert_training(&step, &running, tolerance);
    }

    /// Holds a training step and the `running` statistics after it to PyTorch's. Gradients of biases before a
    /// batch-norm are 0 but for rounding; so a tensor's norm counts as at least a hundredth of the whole gradient's.
    fn assert_training<T: Scalar>(&self, step: &Step<T>, running: &[T], tolerance: f64) {
        self.assert_near("train.logits", &step.logits, 0.0, tolerance);
        self.assert_near("train.loss", &[step.loss], 0.0, tolerance);
        for tensor in &self.arch.running {
            let name = format!("train.running.{}", tensor.name);
            self.assert_near(&name, &running[tensor.range.clone()], 0.0, tolerance);
        }
        let name = |tensor: &Tensor| format!("train.gradient.{}", tensor.name);
        let whole = self.arch.parameters.iter().map(|tensor| norm(&self.outputs[&name(tensor)])).fold(0.0, f64::hypot);
        for tensor in &self.arch.parameters {
            let gradient = &step.gradients[tensor.range.clone()];
            let floor = 0.01 * whole;
            if self.sketched {
                self.assert_near(&name(tensor), &sketch(&tensor.name, gradient), floor, tolerance);
            } else {
                self.assert_near(&name(tensor), gradient, floor, tolerance);
            }
        }
    }

    /// Takes ten steps of gradient descent with a `network` and holds their losses to PyTorch's, within a relative
    /// `tolerance` in norm.
    pub fn assert_ten_steps<T: Real>(&self, tolerance: f64, network: &impl Network<T>) {
        let (mut parameters, mut running) = (self.parameters::<T>(), self.running::<T>());
        let mut sgd = Sgd::new(parameters.len(), 0.9, true, 1e-3);
        let mut losses = Vec::new();
        for number in self.first..self.first + 10 {
            let (images, labels) = (self.images(number), self.labels(number));
            let batch = Batch { shape: self.shape, images: &images, labels: &labels };
            let step = network.train(&self.arch, &parameters, &mut running, &batch, self.training);
            sgd.step(self.learning_rate, &mut parameters, &step.gradients);
            losses.push(step.loss);
        }
        self.assert_near("sgd.losses", &losses, 0.0, tolerance);
    }

    fn assert_near<T: Scalar>(&self, name: &str, ours: &[T], floor: f64, tolerance: f64) {
        let error = distance(ours.iter().map(|value| value.f64()), &self.outputs[name], floor);
        assert!(error <= tolerance, "{name} is {error:.1e} from PyTorch's; {tolerance:.0e} is allowed");
    }
}

/// Two blocks of two layers with bottlenecks.
fn two_blocks() -> Config {
    Config { block_config: vec![2, 2], bn_size: Some(2), ..Config::preset("densenet-bc-40-12").unwrap() }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The values that a tensor starts from.
fn made_up<T: Scalar>(tensor: &Tensor) -> Vec<T> {
    let (low, high) = bounds(tensor);
    uniform(&tensor.name, tensor.range.len(), low, high)
}

fn uniform<T: Scalar>(name: &str, count: usize, low: f64, high: f64) -> Vec<T> {
    let stream = stream(name);
    (0..count as u64).map(|i| T::of(low + (high - low) * stream.uniform(i))).collect()
}

/// Sums over the tensor with random signs, scaled so that a difference's sketch has about the difference's norm.
fn sketch<T: Scalar>(name: &str, tensor: &[T]) -> Vec<f64> {
    let stream = stream(&format!("signs {name}"));
    let mut sums = vec![0.0; SIGNS];
    for (value, i) in tensor.iter().zip(0..) {
        let bits = stream.bits(i);
        for (sign, sum) in sums.iter_mut().enumerate() {
            *sum += if bits >> sign & 1 == 1 { -value.f64() } else { value.f64() };
        }
    }
    sums.into_iter().map(|sum| sum / (SIGNS as f64).sqrt()).collect()
}

//! Networks whose batch-norms all do something, and pictures for them.

use densenet::architecture::Tensor;
use densenet::config::{Joining, Stem, StemShape};
use densenet::network::DenseNet;
use densenet::{Architecture, Config};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use ndarray::Array4;

/// Values of a network, exact in `f32`.
pub struct Values {
    pub arch: Architecture,
    pub parameters: Vec<f64>,
    pub running: Vec<f64>,
}

impl Values {
    /// Weights of Kaiming's size, scales and variances from 0.5 to 1.5, all else from -0.5 to 0.5.
    pub fn new(config: &Config) -> Self {
        let arch = Architecture::new(config).unwrap();
        let draw = |tensors: &[Tensor], seed| {
            let stream = |(i, tensor): (usize, &Tensor)| drawn(tensor, Stream::new(seed, i as u64));
            tensors.iter().enumerate().flat_map(stream).collect()
        };
        let (parameters, running) = (draw(&arch.parameters, 1), draw(&arch.running, 2));
        Self { arch, parameters, running }
    }

    /// The fast network of them.
    pub fn network<T: Dispatch>(&self) -> DenseNet<T> {
        let convert = |values: &[f64]| values.iter().map(|&value| T::of(value)).collect();
        DenseNet::from_arenas(&self.arch.config, convert(&self.parameters), convert(&self.running)).unwrap()
    }
}

fn drawn(tensor: &Tensor, stream: Stream) -> Vec<f64> {
    let Tensor { name, shape, range } = tensor;
    let positive = name.ends_with("running_var") || (name.contains("norm") && name.ends_with("weight"));
    let (low, high) = match (shape.len(), positive) {
        (1, true) => (0.5, 1.5),
        (1, false) => (-0.5, 0.5),
        _ => {
            let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
    };
    (0..range.len() as u64).map(|i| f64::from((low + (high - low) * stream.uniform(i)) as f32)).collect()
}

/// Pictures `(N, C, H, W)` of numbers from -1 to 1, exact in `f32`.
pub fn pictures(shape: Shape4) -> Array4<f64> {
    let stream = Stream::new(3, 0);
    let values = (0..shape.len() as u64).map(|i| f64::from(2.0 * stream.uniform(i) as f32 - 1.0)).collect();
    Array4::from_shape_vec((shape.n, shape.c, shape.h, shape.w), values).unwrap()
}

fn stem(kernel: usize, stride: usize, norm: bool) -> Stem {
    Stem::of(StemShape { kernel, stride, norm, pool: false })
}

/// A small network of every way of joining, with and without bottlenecks, of every stem, and with and without a last ReLU.
pub fn small() -> Vec<(&'static str, Config)> {
    let dense = Config {
        in_channels: 2,
        num_classes: 5,
        stem: Stem::Cifar,
        num_init_features: 18,
        block_config: vec![2, 3, 2],
        growth_rate: 7,
        bn_size: None,
        compression: 0.5,
        drop_rate: 0.0,
        bias: true,
        final_relu: true,
        joining: Joining::Dense,
        input_size: 24,
    };
    let (plain, residual) = (Joining::Plain, Joining::Residual);
    vec![
        ("dense", dense.clone()),
        ("dense with bottlenecks", Config { bn_size: Some(3), stem: Stem::ImageNet, input_size: 96, ..dense.clone() }),
        ("plain", Config { joining: plain, ..dense.clone() }),
        ("residual", Config { joining: residual, ..dense.clone() }),
        ("residual with bottlenecks", Config { bn_size: Some(3), joining: residual, ..dense.clone() }),
        ("stem with norm", Config { stem: stem(3, 1, true), bn_size: Some(3), ..dense.clone() }),
        ("7x7 stem with norm", Config { stem: stem(7, 2, true), ..dense.clone() }),
        ("7x7 stem without norm", Config { stem: stem(7, 2, false), ..dense.clone() }),
        ("no last ReLU", Config { final_relu: false, ..dense }),
    ]
}

/// `|a - b| / |b|` in the Euclidean norm.
pub fn distance(ours: impl IntoIterator<Item = f64>, theirs: &[f64]) -> f64 {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied())
}

//! Networks whose batch-norms all do something, and pictures for them.

use densenet::architecture::Tensor;
use densenet::config::{Activation, HeadPool, Joining, Stem};
use densenet::network::DenseNet;
use densenet::{Architecture, Config};
use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use ndarray::Array4;

use crate::bounds::bounds;
use crate::kinds::kinds;

/// Values of a network, exact in `f32`.
pub struct Values {
    pub arch: Architecture,
    pub parameters: Vec<f64>,
    pub running: Vec<f64>,
}

impl Values {
    /// Random values within [`bounds`].
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
    pub fn network<T: Real>(&self) -> DenseNet<T> {
        let convert = |values: &[f64]| values.iter().map(|&value| T::of(value)).collect();
        DenseNet::from_arenas(&self.arch.config, convert(&self.parameters), convert(&self.running)).unwrap()
    }
}

fn drawn(tensor: &Tensor, stream: Stream) -> Vec<f64> {
    let (low, high) = bounds(tensor);
    (0..tensor.range.len() as u64).map(|i| f64::from((low + (high - low) * stream.uniform(i)) as f32)).collect()
}

/// Pictures `(N, C, H, W)` of numbers from -1 to 1, exact in `f32`.
pub fn pictures(shape: Shape4) -> Array4<f64> {
    let stream = Stream::new(3, 0);
    let values = (0..shape.len() as u64).map(|i| f64::from(2.0 * stream.uniform(i) as f32 - 1.0)).collect();
    Array4::from_shape_vec((shape.n, shape.c, shape.h, shape.w), values).unwrap()
}

/// A small network of every kind.
pub fn small() -> Vec<(&'static str, Config)> {
    kinds(&Config {
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
        head_pool: HeadPool::Average,
        hidden: vec![],
        joining: Joining::Dense,
        activation: Activation::Pre,
        input_size: 24,
    })
}

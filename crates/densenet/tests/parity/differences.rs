//! The reference network's gradients against central differences in `f64`, for a small network of every kind.

use densenet::config::{HeadPool, Joining, Stem, StemShape};
use densenet::reference::{self, Batch, Training};
use densenet::{Architecture, Config, init};
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;

use crate::kinds::{kinds, size};

/// Half the distance between the two evaluations of a difference.
const STEP: f64 = 1e-6;

/// Largest error of a slope, relative to the gradient's norm (at least 0.01). Rounding leaves about 1e-10 of it.
const TOLERANCE: f64 = 1e-6;

const SEED: u64 = 11;

/// The basic network for CIFAR, which the others vary.
fn basic() -> Config {
    Config {
        in_channels: 2,
        num_classes: 4,
        stem: Stem::Cifar,
        num_init_features: 5,
        block_config: vec![2, 3],
        growth_rate: 3,
        bn_size: None,
        compression: 1.0,
        drop_rate: 0.0,
        bias: false,
        final_relu: true,
        head_pool: HeadPool::Average,
        hidden: vec![],
        joining: Joining::Dense,
        input_size: 9,
    }
}

/// A small network of every kind, with the size of its pictures: such that a pooled stem, too, leaves more than a pixel.
pub fn examples() -> Vec<(&'static str, Config, (usize, usize))> {
    let usual = |config: &Config| match config.stem.shape() {
        StemShape { pool: Some(_), .. } => (19, 22),
        StemShape { stride: 2, .. } => (11, 13),
        _ => (6, 7),
    };
    let sized = |(kind, config): (_, Config)| (kind, config.clone(), size(&config, usual(&config)));
    kinds(&basic()).into_iter().map(sized).collect()
}

/// Values, pictures and labels to try a network with; parameters are moved off their even initial values.
pub fn example(
    config: &Config,
    (height, width): (usize, usize),
) -> (Architecture, Vec<f64>, Vec<f64>, Shape4, Vec<f64>) {
    let arch = Architecture::new(config).unwrap();
    let (mut parameters, running) = init::initial::<f64>(&arch, SEED);
    for (parameter, noise) in parameters.iter_mut().zip(random(1)) {
        *parameter += 0.3 * noise;
    }
    let shape = Shape4::new(3, config.in_channels, height, width);
    (arch, parameters, running, shape, random(2).take(shape.len()).collect())
}

/// Labels of the example's three pictures.
pub const LABELS: [usize; 3] = [0, 3, 1];

/// How the example's loss is taken.
pub const TRAINING: Training = Training { label_smoothing: 0.1, dropout_seed: SEED };

#[test]
fn gradients_are_slopes() {
    for (kind, config, size) in examples() {
        check(kind, &config, size);
    }
}

/// Compares each tensor's gradient with the loss's slope along three random directions within that tensor.
fn check(kind: &str, config: &Config, size: (usize, usize)) {
    let (arch, parameters, running, shape, images) = example(config, size);
    let batch = Batch { shape, images: &images, labels: &LABELS };
    let train =
        |parameters: &[f64]| reference::train(&arch, parameters, &mut running.clone(), &batch, TRAINING).unwrap();
    let gradients = train(&parameters).gradients;
    for (i, tensor) in arch.parameters.iter().enumerate() {
        for direction in 0..3 {
            let along: Vec<f64> = random(10 + 3 * i as u64 + direction).take(tensor.range.len()).collect();
            let loss = |distance: f64| {
                let mut moved = parameters.clone();
                moved[tensor.range.clone()].iter_mut().zip(&along).for_each(|(p, a)| *p += distance * a);
                train(&moved).loss
            };
            let slope = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
            let gradient = &gradients[tensor.range.clone()];
            let expected: f64 = gradient.iter().zip(&along).map(|(g, a)| g * a).sum();
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt().max(0.01);
            let error = (slope - expected).abs() / norm;
            assert!(error < TOLERANCE, "{kind}: {}, seed {SEED}: {expected}, differences give {slope}", tensor.name);
        }
    }
}

/// An endless row of numbers in `[-1, 1)`.
fn random(stream: u64) -> impl Iterator<Item = f64> {
    let stream = Stream::new(SEED, stream);
    (0..).map(move |i| 2.0 * stream.uniform(i) - 1.0)
}

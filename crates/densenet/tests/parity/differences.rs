//! The reference network's gradients against central differences in `f64`, for a small network of every kind.

use densenet::config::{Joining, Stem};
use densenet::reference::{self, Batch, Training};
use densenet::{Architecture, Config, init};
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;

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
        joining: Joining::Dense,
        input_size: 9,
    }
}

#[test]
fn article() {
    check(Config { in_channels: 1, stem: Stem::ImageNet, compression: 0.5, bias: true, ..basic() }, 19, 22);
}

#[test]
fn basic_network() {
    check(basic(), 7, 6);
}

#[test]
fn bottleneck() {
    check(Config { bn_size: Some(2), ..basic() }, 7, 6);
}

#[test]
fn compression() {
    check(Config { compression: 0.6, ..basic() }, 7, 6);
}

#[test]
fn bottleneck_and_compression() {
    check(Config { bn_size: Some(2), compression: 0.6, ..basic() }, 6, 7);
}

#[test]
fn dropout() {
    check(Config { bn_size: Some(2), drop_rate: 0.3, ..basic() }, 6, 7);
}

#[test]
fn residual() {
    check(Config { joining: Joining::Residual, drop_rate: 0.2, ..basic() }, 6, 7);
}

#[test]
fn residual_bottleneck() {
    check(Config { joining: Joining::Residual, bn_size: Some(2), ..basic() }, 6, 7);
}

#[test]
fn plain() {
    check(Config { joining: Joining::Plain, bias: true, ..basic() }, 6, 7);
}

/// Compares each tensor's gradient with the loss's slope along three random directions within that tensor.
fn check(config: Config, height: usize, width: usize) {
    let arch = Architecture::new(&config).unwrap();
    let (mut parameters, running) = init::initial::<f64>(&arch, SEED);
    for (parameter, noise) in parameters.iter_mut().zip(random(1)) {
        *parameter += 0.3 * noise;
    }
    let shape = Shape4::new(3, config.in_channels, height, width);
    let images: Vec<f64> = random(2).take(shape.len()).collect();
    let batch = Batch { shape, images: &images, labels: &[0, 3, 1] };
    let training = Training { label_smoothing: 0.1, dropout_seed: SEED };
    let train =
        |parameters: &[f64]| reference::train(&arch, parameters, &mut running.clone(), &batch, training).unwrap();
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
            assert!(error < TOLERANCE, "{}, seed {SEED}: {expected}, differences give {slope}", tensor.name);
        }
    }
}

/// An endless row of numbers in `[-1, 1)`.
fn random(stream: u64) -> impl Iterator<Item = f64> {
    let stream = Stream::new(SEED, stream);
    (0..).map(move |i| 2.0 * stream.uniform(i) - 1.0)
}

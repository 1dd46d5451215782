//! The reference network's gradients against central differences in `f64`, for a small network of every kind.

use densenet::config::{Joining, Stem, StemShape};
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
        final_relu: true,
        joining: Joining::Dense,
        input_size: 9,
    }
}

fn stem(kernel: usize, stride: usize, norm: bool) -> Stem {
    Stem::of(StemShape { kernel, stride, norm, pool: false })
}

/// A small network of every kind, with the size of its pictures.
pub fn kinds() -> Vec<(&'static str, Config, (usize, usize))> {
    let article = Config { in_channels: 1, stem: Stem::ImageNet, compression: 0.5, bias: true, ..basic() };
    let bc = Config { bn_size: Some(2), compression: 0.6, ..basic() };
    let residual = Config { joining: Joining::Residual, ..basic() };
    vec![
        ("article", article, (19, 22)),
        ("basic", basic(), (7, 6)),
        ("B", Config { bn_size: Some(2), ..basic() }, (7, 6)),
        ("C", Config { compression: 0.6, ..basic() }, (7, 6)),
        ("BC", bc.clone(), (6, 7)),
        ("dropout", Config { drop_rate: 0.3, ..bc }, (6, 7)),
        ("residual with dropout", Config { drop_rate: 0.2, ..residual.clone() }, (6, 7)),
        ("residual with bottleneck", Config { bn_size: Some(2), ..residual }, (6, 7)),
        ("plain", Config { joining: Joining::Plain, bias: true, ..basic() }, (6, 7)),
        ("stem with norm", Config { stem: stem(3, 1, true), bn_size: Some(2), ..basic() }, (7, 6)),
        ("7x7 stem without norm", Config { stem: stem(7, 2, false), ..basic() }, (11, 13)),
        ("no last ReLU", Config { final_relu: false, ..basic() }, (7, 6)),
    ]
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
    for (kind, config, size) in kinds() {
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

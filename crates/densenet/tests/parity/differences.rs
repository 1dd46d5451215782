//! The reference network's gradients against central differences in `f64`, for a small network of every kind.

use densenet::config::{Activation, HeadPool, Joining, Stem, StemShape};
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
        activation: Activation::Pre,
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
                let mut parameters = parameters.clone();
                let tensor = &mut parameters[tensor.range.clone()];
                tensor.iter_mut().zip(&along).for_each(|(p, a)| *p += distance * a);
                train(&parameters).loss
            };
            assert_slope(&format!("{kind}: {}", tensor.name), &gradients[tensor.range.clone()], &along, loss);
        }
    }
}

/// Compares the gradients of inference with slopes: that of the pictures along three random directions, and those of each
/// block's maps, summed up by channels, along the running mean that their transition takes off.
#[test]
fn gradients_of_inference_are_slopes() {
    for (kind, config, size) in examples() {
        let (arch, parameters, running, shape, images) = example(&config, size);
        let running = other_running(&running);
        let dlogits: Vec<f64> = random(3).take(shape.n * config.num_classes).collect();
        let gradients = reference::gradients(&arch, &parameters, &running, shape, &images, &dlogits).unwrap();
        let score = |running: &[f64], images: &[f64]| -> f64 {
            let logits = reference::forward(&arch, &parameters, running, shape, images).unwrap();
            logits.iter().zip(&dlogits).map(|(logit, d)| logit * d).sum()
        };
        for direction in 0..3 {
            let along: Vec<f64> = random(4 + direction).take(images.len()).collect();
            let at = |distance| score(&running, &moved(&images, &along, distance));
            assert_slope(&format!("{kind}: pictures"), &gradients.images, &along, at);
        }
        for (block, gradient) in arch.blocks.iter().zip(&gradients.blocks) {
            // Of a norm that others have in common the mean moves what they read, too.
            let Some(transition) = block.transition.as_ref().filter(|op| op.norm.seen == 0) else { continue };
            let (mean, plane) = (transition.norm.mean.clone(), gradient.len() / (shape.n * transition.norm.channels));
            let channel = |c| gradient.chunks(plane).skip(c).step_by(mean.len()).flatten().sum::<f64>();
            let sums: Vec<f64> = (0..mean.len()).map(channel).collect();
            let mut along = vec![0.0; running.len()];
            along[mean.clone()].iter_mut().zip(random(7)).for_each(|(along, value)| *along = value);
            // What lowers the mean raises the map.
            let at = |distance: f64| score(&moved(&running, &along, -distance), &images);
            assert_slope(&format!("{kind}: {}", transition.norm.name), &sums, &along[mean], at);
        }
    }
}

/// Running statistics that are not those of a network that has seen nothing.
pub fn other_running(running: &[f64]) -> Vec<f64> {
    running.iter().zip(random(8)).map(|(_, noise)| 0.6 + 0.5 * noise).collect()
}

fn moved(values: &[f64], along: &[f64], distance: f64) -> Vec<f64> {
    values.iter().zip(along).map(|(value, along)| value + distance * along).collect()
}

/// Checks that `at`, a function of the distance from a place along a direction, has the slope that `gradient` says.
fn assert_slope(what: &str, gradient: &[f64], along: &[f64], at: impl Fn(f64) -> f64) {
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    let expected: f64 = gradient.iter().zip(along).map(|(g, a)| g * a).sum();
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt().max(0.01);
    let error = (slope - expected).abs() / norm;
    assert!(error < TOLERANCE, "{what}, seed {SEED}: {expected}, differences give {slope}");
}

/// An endless row of numbers in `[-1, 1)`.
pub fn random(stream: u64) -> impl Iterator<Item = f64> {
    let stream = Stream::new(SEED, stream);
    (0..).map(move |i| 2.0 * stream.uniform(i) - 1.0)
}

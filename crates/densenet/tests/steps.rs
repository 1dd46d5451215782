//! Training steps: the same bits on any number of threads and at either memory level; micro-batches; large means.

use densenet::Config;
use densenet::network::{Backprop, DenseNet, Memory, StepOptions};
use densenet::optimiser::Sgd;
use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use ndarray::{Array4, s};

/// A dozen bottlenecked layers, of which the low level makes the first block's three bottlenecks again.
fn config() -> Config {
    let bc = Config::preset("densenet-bc-40-12").unwrap();
    Config { growth_rate: 5, num_init_features: 10, block_config: vec![3, 4, 5], drop_rate: 0.2, ..bc }
}

/// Picture batch number `step` and its labels.
fn batch(step: u64) -> (Array4<f32>, Vec<u32>) {
    let (stream, mut index) = (Stream::new(3, step), 0);
    let images = Array4::from_shape_simple_fn((5, 3, 19, 17), || {
        index += 1;
        2.0 * stream.uniform(index) as f32 - 1.0
    });
    (images, (0..5).map(|i| (stream.bits(1_000_000 + i) % 10) as u32).collect())
}

/// All values, as bits, after 50 steps.
fn fifty_steps(threads: usize, memory: Memory) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut network = DenseNet::<f32>::new(&config(), 1).unwrap();
        let mut backprop = Backprop::new(&network);
        let mut sgd = Sgd::new(network.parameters().len(), 0.9, true, 1e-4);
        for step in 0..50 {
            let (images, labels) = batch(step);
            let options = StepOptions { dropout_seed: step, memory, ..StepOptions::default() };
            backprop.run(&mut network, images.view(), &labels, &options).unwrap();
            sgd.step(0.05, network.parameters_mut(), backprop.gradients());
        }
        network.parameters().iter().chain(network.running()).map(|value| value.to_bits()).collect()
    })
}

#[test]
fn fifty_steps_make_the_same_bits_however_they_are_taken() {
    let expected = fifty_steps(1, Memory::Normal);
    assert!(expected.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    for (threads, memory) in [(2, Memory::Normal), (1, Memory::Low), (2, Memory::Low), (3, Memory::Low)] {
        assert!(fifty_steps(threads, memory) == expected, "{threads} threads, {memory:?} differ");
    }
}

#[test]
fn micro_batches_give_the_mean_of_their_gradients() {
    let config = Config { drop_rate: 0.0, ..config() };
    let (images, labels) = batch(0);
    let options = StepOptions::default();
    let mut network = DenseNet::<f64>::new(&config, 1).unwrap();
    let images = images.mapv(f64::from);
    let mut backprop = Backprop::new(&network);
    // Twice, so that nothing is left over from the step before.
    backprop.run_in_parts(&mut network, images.view(), &labels, &options, 2).unwrap();
    let whole = backprop.run_in_parts(&mut network, images.view(), &labels, &options, 2).unwrap();
    let mut stepwise = DenseNet::<f64>::new(&config, 1).unwrap();
    let mut steps = Backprop::new(&stepwise);
    let (mut loss, mut gradients, mut logits) = (0.0, vec![0.0; network.parameters().len()], Vec::new());
    for _ in 0..2 {
        (loss, gradients, logits) = (0.0, vec![0.0; gradients.len()], Vec::new());
        for (range, share) in [(0..2, 0.4), (2..5, 0.6)] {
            let images = images.slice(s![range.clone(), .., .., ..]);
            let step = steps.run(&mut stepwise, images, &labels[range], &options).unwrap();
            loss += share * step.loss;
            gradients.iter_mut().zip(steps.gradients()).for_each(|(sum, gradient)| *sum += share * gradient);
            logits.extend(step.logits);
        }
    }
    assert!((whole.loss - loss).abs() < 1e-14);
    assert!(whole.logits.iter().eq(&logits));
    assert_eq!(network.running(), stepwise.running());
    for (ours, expected) in backprop.gradients().iter().zip(&gradients) {
        assert!((ours - expected).abs() <= 1e-14 * expected.abs().max(1e-3), "{ours} {expected}");
    }
}

#[test]
fn one_micro_batch_is_a_step_and_more_are_bounded_by_the_pictures() {
    let (images, labels) = batch(0);
    let options = StepOptions { dropout_seed: 7, ..StepOptions::default() };
    let gradients = |parts: Option<usize>| {
        let mut network = DenseNet::<f32>::new(&config(), 1).unwrap();
        let mut backprop = Backprop::new(&network);
        match parts {
            None => backprop.run(&mut network, images.view(), &labels, &options).unwrap(),
            Some(parts) => backprop.run_in_parts(&mut network, images.view(), &labels, &options, parts).unwrap(),
        };
        backprop.gradients().to_vec()
    };
    assert_eq!(gradients(None), gradients(Some(1)));
    assert_eq!(gradients(Some(5)), gradients(Some(99)));
    assert_ne!(gradients(None), gradients(Some(5)));
}

/// Loss and the stem's running statistics after a step of the article's network on a first feature map of mean 1000.
fn far_from_zero<T: Real>() -> (f64, Vec<f64>) {
    let config = Config { in_channels: 3, ..Config::preset("seed").unwrap() };
    let mut network = DenseNet::<T>::new(&config, 1).unwrap();
    let bias = network.architecture().stem_conv.bias.clone().unwrap();
    network.parameters_mut()[bias].fill(T::of(1000.0));
    let (stream, mut index) = (Stream::new(3, 0), 0);
    let images = Array4::from_shape_simple_fn((3, 3, 40, 40), || {
        index += 1;
        T::of(f64::from((8.0 * stream.uniform(index) - 4.0) as f32))
    });
    let step = Backprop::new(&network).run(&mut network, images.view(), &[1, 5, 8], &StepOptions::default()).unwrap();
    let norm = network.architecture().stem_norm.clone().unwrap();
    let running = |range: std::ops::Range<usize>| network.running()[range].iter().map(|value| value.f64());
    (step.loss, running(norm.mean).chain(running(norm.variance)).collect())
}

/// Sums of squares, in `f32`, would leave nothing of a variance of about 1.
#[test]
fn statistics_are_right_far_from_zero() {
    let (loss, running) = far_from_zero::<f32>();
    let (expected_loss, expected) = far_from_zero::<f64>();
    let variance = expected[64] * 10.0 - 9.0;
    assert!((expected[0] - 100.0).abs() < 1.0 && variance > 0.1 && variance < 100.0, "{} {variance}", expected[0]);
    for (ours, expected) in running.iter().zip(&expected) {
        assert!((ours / expected - 1.0).abs() < 2e-6, "{ours} {expected}");
    }
    assert!((loss - expected_loss).abs() < 2e-3, "{loss} {expected_loss}");
}

/// The body normalises by the batch and moves its running statistics as in a whole step, also in micro-batches.
#[test]
fn a_backward_pass_may_end_at_the_classifier() {
    let (images, labels) = batch(0);
    for parts in [1, 2] {
        let step = |classifier_only| {
            let mut network = DenseNet::<f32>::new(&config(), 1).unwrap();
            let mut backprop = Backprop::new(&network);
            let options = StepOptions { dropout_seed: 7, classifier_only, ..StepOptions::default() };
            let outcome = backprop.run_in_parts(&mut network, images.view(), &labels, &options, parts).unwrap();
            (outcome.logits, backprop.gradients().to_vec(), network)
        };
        let ((logits, whole, network), (same_logits, gradients, same_network)) = (step(false), step(true));
        assert!(logits == same_logits && network.running() == same_network.running());
        let classifier = network.architecture().classifier[0].weight.start;
        assert_eq!(gradients[classifier..], whole[classifier..]);
        assert!(gradients[..classifier].iter().all(|&g| g == 0.0) && whole[..classifier].iter().any(|&g| g != 0.0));
    }
}

#[test]
fn a_step_in_two_passes_has_the_gradients_of_one() {
    let config = config();
    let (images, labels) = batch(0);
    for memory in [Memory::Normal, Memory::Low] {
        let options = StepOptions { dropout_seed: 4, memory, ..StepOptions::default() };
        let mut network = DenseNet::<f32>::new(&config, 1).unwrap();
        let mut whole = Backprop::new(&network);
        let outcome = whole.run(&mut network, images.view(), &labels, &options).unwrap();
        let running = network.running().to_vec();
        let mut network = DenseNet::<f32>::new(&config, 1).unwrap();
        let mut parts = Backprop::new(&network);
        let logits = parts.run_forward(&mut network, images.view(), &options).unwrap();
        assert_eq!((&logits, network.running()), (&outcome.logits, &*running));
        // Of cross-entropy: (softmax - one hot) / images.
        let mut dlogits = logits.mapv(|logit| logit.exp());
        for (mut row, &label) in dlogits.rows_mut().into_iter().zip(&labels) {
            row /= row.sum();
            row[label as usize] -= 1.0;
        }
        dlogits /= labels.len() as f32;
        parts.run_backward(&network, images.view(), dlogits.view(), &options).unwrap();
        let distance = whole.gradients().iter().zip(parts.gradients()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = whole.gradients().iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(distance < 1e-5 * largest, "{distance} of {largest}");
    }
}

#[test]
fn the_passes_of_a_backbone_make_its_features_and_their_gradients() {
    let config = Config { num_classes: 0, drop_rate: 0.0, ..config() };
    let images = batch(0).0.mapv(f64::from);
    let (options, network) = (StepOptions::default(), DenseNet::<f64>::new(&config, 1).unwrap());
    // The sum of the features of one channel in training, with one parameter moved.
    let sum = |place: usize, by: f64| {
        let mut parameters = network.parameters().to_vec();
        parameters[place] += by;
        let mut moved = DenseNet::from_arenas(&config, parameters, network.running().to_vec()).unwrap();
        let mut backprop = Backprop::new(&moved);
        backprop.run_forward(&mut moved, images.view(), &options).unwrap().column(7).sum()
    };
    let mut trained =
        DenseNet::from_arenas(&config, network.parameters().to_vec(), network.running().to_vec()).unwrap();
    let mut backprop = Backprop::new(&trained);
    let features = backprop.run_forward(&mut trained, images.view(), &options).unwrap();
    let mut dfeatures = features.mapv(|_| 0.0);
    dfeatures.column_mut(7).fill(1.0);
    backprop.run_backward(&trained, images.view(), dfeatures.view(), &options).unwrap();
    for place in [0, 50, 300, network.parameters().len() / 2] {
        let expected = (sum(place, 1e-6) - sum(place, -1e-6)) / 2e-6;
        let found = backprop.gradients()[place];
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1e-2), "{place}: {found}, not {expected}");
    }
}

#[test]
fn a_backward_pass_follows_its_forward_pass() {
    let mut network = DenseNet::<f32>::new(&config(), 1).unwrap();
    let (images, _) = batch(0);
    let (mut backprop, options) = (Backprop::new(&network), StepOptions::default());
    let dlogits = ndarray::Array2::ones((5, 10));
    let error = backprop.run_backward(&network, images.view(), dlogits.view(), &options).unwrap_err().to_string();
    assert!(error.contains("5 pictures of 19x17 without its forward pass"), "{error}");
    backprop.run_forward(&mut network, images.view(), &options).unwrap();
    let fewer = images.slice(s![..4, .., .., ..]);
    assert!(backprop.run_backward(&network, fewer, dlogits.slice(s![..4, ..]), &options).is_err());
    let error = backprop.run_backward(&network, images.view(), dlogits.slice(s![..4, ..]), &options).unwrap_err();
    assert!(error.to_string().contains("gradients of (4, 10) outputs; the outputs are (5, 10)"), "{error}");
    backprop.run_backward(&network, images.view(), dlogits.view(), &options).unwrap();
}

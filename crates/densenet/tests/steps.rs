//! Training steps: the same bits on any number of threads and at either memory level.

use densenet::Config;
use densenet::network::{Backprop, DenseNet, Memory, StepOptions};
use densenet::optimiser::Sgd;
use densenet_kernels::random::Stream;
use ndarray::Array4;

/// Two dozen bottlenecked layers, so that the low level keeps some bottlenecks and makes others again.
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

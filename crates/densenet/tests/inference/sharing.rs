//! One network that predicts for several threads at once.

use densenet::network::DenseNet;
use densenet_kernels::reference::Shape4;
use ndarray::{Array4, s};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::made_up::{Values, pictures, small};

/// A network that has not predicted yet, and pictures.
fn example() -> (DenseNet<f32>, Array4<f32>) {
    let (_, config) = small().swap_remove(1);
    let network = Values::new(&config).network::<f32>();
    (network, pictures(Shape4::new(8, config.in_channels, 64, 60)).mapv(|value| value as f32))
}

#[test]
fn threads_that_ask_one_network_get_the_same_bits() {
    fn assert_shared<T: Send + Sync>(_: &T) {}
    let (network, images) = example();
    assert_shared(&network);
    let expected = example().0.logits(images.view()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..8 {
                    let found = network.logits(images.slice(s![i..=i, .., .., ..])).unwrap();
                    assert_eq!(found.row(0), expected.row(i), "picture {i}");
                }
            });
        }
    });
}

/// On a pool, a thread that packs the weights may take up another prediction meanwhile.
#[test]
fn first_questions_on_a_pool_do_not_wait_for_each_other() {
    let images = example().1;
    let expected = example().0.logits(images.view()).unwrap();
    let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for _ in 0..20 {
        let network = example().0;
        let predict = |i| network.logits(images.slice(s![i..=i, .., .., ..])).unwrap();
        let found: Vec<_> = pool.install(|| (0..8).into_par_iter().map(predict).collect());
        assert!(found.iter().zip(expected.rows()).all(|(found, expected)| found.row(0) == expected));
    }
}

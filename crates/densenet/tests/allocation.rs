//! A network that is warm predicts without allocating.

use std::alloc::System;

use densenet::{Config, DenseNet};
use ndarray::{Array2, Array4};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rounds in which every thread should have met its largest piece of work.
const WARM_UP: usize = 50;

/// Predictions of a round.
const PREDICTIONS: usize = 5;

/// Allocations and reallocations of each round of predictions.
fn allocations(network: &DenseNet, batch: usize, size: usize) -> impl Iterator<Item = usize> {
    let config = &network.architecture().config;
    let images = Array4::<f32>::zeros((batch, config.in_channels, size, size));
    let mut logits = Array2::zeros((batch, config.num_classes));
    (0..WARM_UP).map(move |_| {
        let region = Region::new(ALLOCATOR);
        for _ in 0..PREDICTIONS {
            network.logits_into(images.view(), logits.view_mut()).unwrap();
        }
        let change = region.change();
        change.allocations + change.reallocations
    })
}

/// Which thread does what differs from prediction to prediction, so it may take some for all to have the memory they need.
#[test]
fn a_warm_network_does_not_allocate() {
    for (name, batch, size) in [("densenet121", 2, 64), ("seed", 3, 40), ("densenet-bc-40-12", 20, 32)] {
        let network = DenseNet::new(&Config::preset(name).unwrap(), 0).unwrap();
        for threads in [1, 3] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rounds: Vec<usize> = pool.install(|| {
                let mut rounds = Vec::with_capacity(WARM_UP);
                for found in allocations(&network, batch, size) {
                    rounds.push(found);
                    if found == 0 {
                        break;
                    }
                }
                rounds
            });
            assert_eq!(rounds.last(), Some(&0), "{name} on {threads} threads allocates: {rounds:?}");
        }
    }
}

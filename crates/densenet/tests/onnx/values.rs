//! What a graph makes is what the network makes.

use densenet::reference;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;

use crate::distance::distance;
use crate::interpreter::run;
use crate::kinds::size;
use crate::networks::{OPTIONS, small};

/// Relative in norm; folded weights are rounded to `f32`, all else is exact.
const TOLERANCE: f64 = 1e-6;

#[test]
fn the_graph_makes_what_the_network_makes() {
    for network in small() {
        let config = &network.card.config;
        let (height, width) = size(config, (config.input_size, config.input_size + 1));
        let shape = Shape4::new(2, config.in_channels, height, width);
        let random = Stream::new(8, 8);
        let images: Vec<f64> = (0..shape.len() as u64).map(|i| random.normal(i)).collect();
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let (parameters, running) = (wide(&network.weights.parameters), wide(&network.weights.running));
        let made = if config.num_classes == 0 { reference::features } else { reference::forward };
        let wanted = made(&network.architecture, &parameters, &running, shape, &images).unwrap();
        for options in OPTIONS {
            let found = run(&network.graph(options), shape, &images);
            let error = distance(found, &wanted, 0.0);
            let tolerance = if options.fold { TOLERANCE } else { 1e-14 };
            assert!(error <= tolerance, "off by {error:e}, {options:?}, {:?}", network.card.config);
        }
    }
}

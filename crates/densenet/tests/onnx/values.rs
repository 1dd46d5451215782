//! What a graph makes is what the network makes.

use std::collections::HashSet;

use densenet::onnx;
use densenet::output::Output;
use densenet::reference;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use ndarray::Array1;

use crate::distance::distance;
use crate::interpreter::run;
use crate::kinds::size;
use crate::networks::{Network, OPTIONS, small};

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

/// The softmax, or the sigmoids, of the graph's logits are the mean of those of each network's, divided by its temperature.
#[test]
fn the_graph_of_several_networks_makes_the_logits_of_their_mean_probability() {
    let networks = [17, 23].map(|seed| Network::seeded(small().remove(0).card.config, seed));
    let config = &networks[0].card.config;
    let shape = Shape4::new(2, config.in_channels, config.input_size, config.input_size);
    let images: Vec<f64> = (0..shape.len() as u64).map(|i| Stream::new(8, 8).normal(i)).collect();
    for plain in [Output::softmax(), Output::sigmoid()] {
        let outputs = [1.5, 0.5].map(|temperature| plain.clone().with_temperature(temperature));
        let members: Vec<_> = networks.iter().map(Network::contents).zip(outputs.clone()).collect();
        let graph = onnx::average(&networks[0].card, &members, OPTIONS[0]).graph.unwrap();
        let names: HashSet<_> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
        assert_eq!(names.len(), graph.initializer.len(), "a name of its own for every weight");
        let found = run(&graph, shape, &images);
        let probabilities = |logits: &[f64], output: &Output| -> Vec<f64> {
            let rows = logits.chunks(config.num_classes);
            rows.flat_map(|row| output.probabilities(row.iter().map(|&v| v as f32).collect::<Array1<f32>>().view()))
                .collect()
        };
        let of_each = networks
            .iter()
            .zip(&outputs)
            .map(|(network, output)| probabilities(&run(&network.graph(OPTIONS[0]), shape, &images), output));
        let of_each: Vec<Vec<f64>> = of_each.collect();
        let wanted = of_each[0].iter().zip(&of_each[1]).map(|(a, b)| (a + b) / 2.0).collect::<Vec<_>>();
        let found = probabilities(&found, &plain);
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {wanted:?}");
    }
}

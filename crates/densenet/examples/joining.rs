//! What is left of the gradient at the first layer of dense, residual and plain networks, by depth, before any training.
//!
//! ```text
//! cargo run --release --example joining
//! ```

use std::error::Error;

use densenet::config::Joining;
use densenet::network::{Backprop, StepOptions};
use densenet::{Config, DenseNet};
use ndarray::Array4;

/// The norm of the loss's gradient to the weights of the first convolution, as a share of that to the last one's, in a
/// network of one block of so many layers.
fn first_to_last(joining: Joining, layers: usize) -> densenet::Result<f64> {
    let config =
        Config { joining, block_config: vec![layers], num_init_features: 24, ..Config::preset("densenet-40-12")? };
    let mut network: DenseNet = DenseNet::new(&config, 0)?;
    let images = Array4::from_shape_fn((16, 3, 16, 16), |(n, c, y, x)| ((n * 7 + c * 5 + y * 3 + x * x) as f32).sin());
    let labels: Vec<u32> = (0..16).map(|n| n % 10).collect();
    let mut backprop = Backprop::new(&network);
    backprop.run(&mut network, images.view(), &labels, &StepOptions::default())?;
    let norm = |layer: usize| {
        let weight = network.architecture().blocks[0].layers[layer].conv.conv.weight.clone();
        backprop.gradients()[weight].iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
    };
    Ok(norm(0) / norm(layers - 1))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("layers    dense  residual     plain");
    for layers in [5, 10, 20, 40] {
        let [dense, residual, plain] =
            [Joining::Dense, Joining::Residual, Joining::Plain].map(|joining| first_to_last(joining, layers));
        println!("{layers:6}{:9.2}{:10.2}{:10.2}", dense?, residual?, plain?);
    }
    Ok(())
}

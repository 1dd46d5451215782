//! A training loop of one's own: batches from anywhere, the forward and backward pass, an optimiser's step.
//!
//! Here the pictures are stripes as wide as their class says, so that the loss falls within seconds.
//!
//! ```text
//! cargo run --release --example train_loop
//! ```

use std::error::Error;

use densenet::network::{Backprop, StepOptions};
use densenet::optimiser::Sgd;
use densenet::{Config, DenseNet};
use ndarray::Array4;

/// Pictures `(16, 3, 16, 16)` of 4 classes, and their labels.
fn batch(step: usize) -> (Array4<f32>, Vec<u32>) {
    let labels: Vec<u32> = (0..16).map(|i| ((step + i) * 7 % 4) as u32).collect();
    let pixel = |(n, c, y, x): (usize, usize, usize, usize)| {
        let stripe = (x + y * step) / (labels[n] as usize + 1);
        if (stripe + c).is_multiple_of(2) { 1.0 } else { -1.0 }
    };
    (Array4::from_shape_fn((16, 3, 16, 16), pixel), labels)
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config { num_classes: 4, ..Config::preset("densenet-bc-22-12")? };
    let mut network: DenseNet = DenseNet::new(&config, 0)?;
    let mut backprop = Backprop::new(&network);
    let mut sgd = Sgd::new(network.parameters().len(), 0.9, true, 1e-4);
    for step in 1..=20 {
        let (images, labels) = batch(step);
        let outcome = backprop.run(&mut network, images.view(), &labels, &StepOptions::default())?;
        sgd.step(0.05, network.parameters_mut(), backprop.gradients());
        println!("step {step}: loss {:.3}", outcome.loss);
    }
    Ok(())
}

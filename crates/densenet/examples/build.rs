//! A network of one's own configuration: what it costs, and what an untrained one makes of two pictures.
//!
//! ```text
//! cargo run --release --example build
//! ```

use std::error::Error;

use densenet::info::Info;
use densenet::{Architecture, Config, DenseNet};
use ndarray::Array4;

fn main() -> Result<(), Box<dyn Error>> {
    // DenseNet-121 for chest X-rays: one grey channel, 14 findings, half the growth rate.
    let config = Config { in_channels: 1, num_classes: 14, growth_rate: 16, ..Config::preset("densenet121")? };
    let info = Info::new(&Architecture::new(&config)?, 224)?;
    println!("{} parameters, {} multiply-adds", info.params, info.macs);
    let network: DenseNet = DenseNet::new(&config, 0)?;
    let logits = network.logits(Array4::zeros((2, 1, 224, 224)).view())?;
    println!("logits {:?}", logits.dim());
    Ok(())
}

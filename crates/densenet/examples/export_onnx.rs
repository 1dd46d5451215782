//! Weights of any program as an ONNX file.
//!
//! ```text
//! cargo run --release --example export_onnx -- densenet121.pth densenet121.onnx
//! ```

use std::error::Error;
use std::path::Path;

use densenet::DenseNet;
use densenet::onnx::{self, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(weights), Some(file)) = (words.next(), words.next()) else {
        return Err("usage: export_onnx WEIGHTS FILE".into());
    };
    let (network, card) = DenseNet::load(weights)?;
    onnx::save(&network.contents(&card), Options { fold: true, dynamic_size: false }, Path::new(&file))?;
    println!("{file}: {} parameters", network.parameters().len());
    Ok(())
}

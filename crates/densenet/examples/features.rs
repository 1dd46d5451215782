//! How alike pictures are to a network: the cosines between the embedding of the first and those of the others.
//!
//! ```text
//! cargo run --release --example features -- best.safetensors shirt.jpg other-shirt.jpg bag.png
//! ```

use std::error::Error;

use densenet::DenseNet;
use densenet::data::Picture;
use ndarray::{Array1, s};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let weights = words.next().ok_or("usage: features WEIGHTS PICTURE...")?;
    let files: Vec<String> = words.collect();
    let (network, card) = DenseNet::load(weights)?;
    let pictures = files.iter().map(Picture::open).collect::<Result<Vec<_>, _>>()?;
    let images = card.preprocessing()?.batch(&pictures)?;
    let mut embeddings = network.features(images.view())?.pooled;
    for mut embedding in embeddings.rows_mut() {
        let norm = embedding.dot(&embedding).sqrt();
        embedding /= norm;
    }
    let cosines: Array1<f32> = embeddings.dot(&embeddings.slice(s![0, ..]));
    for (file, cosine) in files.iter().zip(&cosines) {
        println!("{file}: {cosine:.4}");
    }
    Ok(())
}

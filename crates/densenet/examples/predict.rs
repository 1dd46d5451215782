//! The likeliest classes of a picture: of the built-in CIFAR-10 model, or of any weights that say how pictures are prepared.
//!
//! ```text
//! cargo run --release --example predict -- cifar10 photo.jpg
//! ```

use std::error::Error;

use densenet::DenseNet;
use densenet::data::Picture;
use densenet::evaluation::ranking;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(weights), Some(file)) = (words.next(), words.next()) else {
        return Err("usage: predict WEIGHTS PICTURE".into());
    };
    let (network, card) = DenseNet::load(weights)?;
    let images = card.preprocessing()?.batch(&[Picture::open(file)?])?;
    let logits = network.logits(images.view())?;
    let probabilities = card.output().probabilities(logits.row(0));
    for class in ranking(logits.row(0)).into_iter().take(3) {
        println!("{}: {:.1} %", card.label(class), 100.0 * probabilities[class]);
    }
    Ok(())
}

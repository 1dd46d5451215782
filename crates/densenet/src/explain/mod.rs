//! Why a network predicts what it does: maps of how much each place of a picture speaks for a class.
//!
//! [`ActivationMaps`] come with the prediction and are exact where the head is linear; [`occlusion()`] runs the network
//! again with a part of the picture covered, and takes any head. Both explain a [`Target`]: a class, or a class against
//! another.
//!
//! ```no_run
//! use densenet::DenseNet;
//! use densenet::data::Picture;
//! use densenet::explain::{ActivationMaps, Target};
//!
//! # fn main() -> densenet::Result<()> {
//! let (network, card) = DenseNet::load("best.safetensors")?;
//! let images = card.preprocessing()?.batch(&[Picture::open("shirt.jpg")?])?;
//! let maps = ActivationMaps::new(&network, images.view())?;
//! let map = maps.map(0, Target::class(6))?;
//! println!("{:?} places, logit {}", map.dim(), maps.logits()[[0, 6]]);
//! # Ok(())
//! # }
//! ```

mod activation;
mod occlusion;
mod target;
#[cfg(test)]
mod tests;

pub use activation::ActivationMaps;
pub use occlusion::occlusion;
pub use target::Target;

//! Why a network predicts what it does: maps of how much each place of a picture supports a class.
//!
//! [`ActivationMaps`] come with the prediction and are exact if the head is linear. [`grad_cam()`],
//! [`IntegratedGradients`] and [`smooth_grad()`] follow the gradient of a logit back to a block's maps or to the
//! pixels, and [`occlusion()`] runs the network again with parts of the picture covered; these work with any head. All
//! explain a [`Target`]: a class, or a class against another.
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
mod grad_cam;
mod integrated_gradients;
mod mean_gradient;
mod occlusion;
mod smooth_grad;
mod target;
#[cfg(test)]
mod tests;

pub use activation::ActivationMaps;
pub use grad_cam::grad_cam;
pub use integrated_gradients::IntegratedGradients;
pub use occlusion::occlusion;
pub use smooth_grad::{Noise, smooth_grad};
pub use target::Target;

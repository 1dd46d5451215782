//! Densely Connected Convolutional Networks (Huang et al., CVPR 2017, arXiv 1608.06993).
//!
//! [`Config`] names one network of the family; [`Architecture`] is what it implies: every tensor, its shape and its
//! place in the parameter arena.
//!
//! # Predicting
//!
//! A loaded network is `Send + Sync`: one instance serves any number of threads. See also `examples/features.rs`.
//!
//! ```no_run
//! use densenet::DenseNet;
//! use densenet::data::Picture;
//! use densenet::evaluation::ranking;
//!
//! # fn main() -> densenet::Result<()> {
//! let (network, card) = DenseNet::load("best.safetensors")?;
//! // Resized, cropped and normalised as the network was trained.
//! let images = card.preprocessing()?.batch(&[Picture::open("shirt.jpg")?, Picture::open("bag.png")?])?;
//! for logits in network.logits(images.view())?.rows() {
//!     println!("{}", card.label(ranking(logits)[0]));
//! }
//! let features = network.features(images.view())?;
//! println!("embeddings {:?}, maps after the first block {:?}", features.pooled.dim(), features.blocks[0].dim());
//! # Ok(())
//! # }
//! ```

pub mod architecture;
mod batches;
mod card;
pub mod checkpoint;
pub mod config;
pub mod data;
mod ensemble;
mod error;
pub mod evaluation;
pub mod explain;
pub mod files;
pub mod info;
pub mod init;
pub mod metrics;
pub mod models;
pub mod network;
pub mod novelty;
pub mod onnx;
pub mod optimiser;
pub mod output;
mod prefetch;
pub mod profile;
pub mod quantization;
pub mod reference;
pub mod reuse;
pub mod schedule;
mod tensor_file;
pub mod timm;
pub mod torchvision;
pub mod training;

pub use architecture::Architecture;
pub use card::{CARD_VERSION, Card};
pub use config::Config;
pub use ensemble::Ensemble;
pub use error::{Error, Result};
pub use network::DenseNet;
pub use prefetch::prefetch;

/// The guide's programs, tested along with the doc tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/dense-block.md")]
    struct DenseBlock;
    #[doc = include_str!("../../../docs/guide/bottleneck.md")]
    struct Bottleneck;
    #[doc = include_str!("../../../docs/guide/network.md")]
    struct Network;
    #[doc = include_str!("../../../docs/guide/comparison.md")]
    struct Comparison;
}

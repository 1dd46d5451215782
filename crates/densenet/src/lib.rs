//! Densely Connected Convolutional Networks (Huang et al., CVPR 2017, arXiv 1608.06993).
//!
//! [`Config`] names one network of the family; [`Architecture`] is what it implies: every tensor, its shape and its
//! place in the parameter arena.

pub mod architecture;
mod batches;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod evaluation;
pub mod files;
pub mod info;
pub mod init;
pub mod models;
pub mod network;
pub mod onnx;
pub mod optimiser;
pub mod profile;
pub mod reference;
pub mod schedule;
mod tensor_file;
pub mod torchvision;
pub mod training;

pub use architecture::Architecture;
pub use config::Config;
pub use error::{Error, Result};
pub use network::DenseNet;

//! Pictures, data sets and how they become a network's input.
//!
//! [`Preprocessing`] says how a [`Picture`] is read by a network.

mod augment;
mod cifar;
mod folder;
mod idx;
mod known;
mod picture;
mod preprocessing;
mod set;
mod split;

pub use augment::Augment;
pub use picture::{MAX_PIXELS, Picture};
pub use preprocessing::{NAMES as PREPROCESSINGS, Preprocessing};
pub use set::DataSet;
pub use split::Split;

//! Pictures, data sets and how they become a network's input.
//!
//! [`Preprocessing`] says how a [`Picture`] is read by a network.

mod picture;
mod preprocessing;

pub use picture::{MAX_PIXELS, Picture};
pub use preprocessing::{NAMES as PREPROCESSINGS, Preprocessing};

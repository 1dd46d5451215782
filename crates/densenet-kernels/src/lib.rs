//! Arrays and operations of a DenseNet, without networks.
//!
//! [`reference`] holds a plain, readable form of every operation, forward and backward, that the fast ones are held to.

mod element;
pub mod random;
pub mod reference;

pub use element::Element;

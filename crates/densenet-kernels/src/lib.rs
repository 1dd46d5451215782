//! Arrays and operations of a DenseNet, without networks.
//!
//! [`mod@reference`] holds a plain, readable form of every operation, forward and backward, that the fast ones are held to.
//! The fast ones work on [`maps`] and go through [`isa`], which picks the instruction set; they are generic over `f32`,
//! for work, and `f64`, to check the same code to fourteen digits.

mod ahead;
mod aligned;
mod bands;
mod compiled;
pub mod conv;
mod dropout;
mod element;
pub mod head;
pub mod isa;
pub mod maps;
pub mod norm;
mod panels;
pub mod patch;
pub mod peak;
pub mod random;
pub mod reference;
mod scratch;
mod splits;
pub mod stem;
pub mod winograd;

pub use aligned::Aligned;
pub use dropout::Dropout;
pub use element::Element;
pub use panels::Panels;

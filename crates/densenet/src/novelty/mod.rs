//! How far pictures are from those that a network was trained on.
//!
//! A network puts every picture into one of its classes, whatever the picture shows. A [`Reference`] keeps of the training
//! pictures what it takes to notice that a picture is like none of them. It is made of features: what the network makes of
//! pictures before it classifies them ([`DenseNet::pooled`](crate::DenseNet::pooled)). Two distances are taken
//! ([`Distances`]), and those within both of which 99 % of pictures are that the network was not trained on.
//!
//! [`scores`] has two figures that need no reference, to compare with. `docs/unlike.md` says what all of them reach.

mod fit;
mod observe;
mod reference;
pub mod scores;
mod whitening;

pub use fit::{EMBEDDINGS, MOST_FEATURES, Sample, WITHIN};
pub use observe::{MOST_PICTURES, Scores, scores_of};
pub use reference::{Distances, Origin, Reference};

pub(crate) use reference::Parts;

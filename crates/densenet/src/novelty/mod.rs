//! How far pictures are from those that a network was trained on.
//!
//! A network puts every picture into one of its classes, whatever it shows. A [`Reference`] keeps what is needed of the
//! training pictures to notice that a picture is unlike all of them. It is made from features: the network's output
//! before the classifier ([`DenseNet::pooled`](crate::DenseNet::pooled)). Two distances are measured ([`Distances`]),
//! and the reach is the pair of distances within which 99 % of the held-out pictures lie.
//!
//! [`scores`] has two scores that need no reference, for comparison. `docs/unlike.md` shows how well all of them do.

mod fit;
mod observe;
mod reference;
pub mod scores;
mod whitening;

pub use fit::{EMBEDDINGS, MOST_FEATURES, Sample, WITHIN};
pub use observe::{MOST_PICTURES, Scores, scores_of};
pub use reference::{Distances, Origin, Reference};

pub(crate) use reference::Parts;

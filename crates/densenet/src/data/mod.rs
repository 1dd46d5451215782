//! Pictures, data sets and how they become a network's input.
//!
//! [`open`] finds a data set by name or path; its [`Split`]s fill batches as its [`Preprocessing`] says.

mod augment;
mod balance;
mod cifar;
mod decode;
mod divide;
mod download;
mod folder;
mod framing;
mod idx;
mod known;
mod locate;
mod part;
mod picture;
mod preprocessing;
mod set;
mod split;
mod targets;
mod unreadable;
mod views;
mod walk;

pub use augment::{Augment, Augmentation, ColorJitter, RandAugment};
pub(crate) use balance::balanced_order;
pub use balance::{class_weights, pos_weight};
pub use decode::{SUFFIXES, has_picture_suffix, is_decoding};
pub use download::Progress;
pub use framing::{ChannelOrder, Interpolation, Orientation, Resize};
pub use known::classes;
pub use locate::open;
pub use part::Part;
pub use picture::{MAX_PIXELS, Picture};
pub use preprocessing::{NAMES as PREPROCESSINGS, Preprocessing};
pub use set::DataSet;
pub use split::Split;
pub use targets::Targets;
pub use unreadable::Unreadable;
pub use views::Views;
pub use walk::{Found, LeftOut, pictures_in};

//! Pictures, data sets, and how they become a network's input.
//!
//! [`open`] finds a data set by name or path; its [`Split`]s fill batches as prescribed by its [`Preprocessing`].

mod augment;
mod balance;
mod batches;
mod beside;
mod check;
mod cifar;
mod decode;
mod divide;
mod download;
mod folder;
mod framing;
mod gzip;
mod idx;
mod known;
mod locate;
mod part;
mod parts;
mod picture;
mod preprocessing;
mod saved;
mod set;
mod split;
mod table;
mod targets;
#[cfg(feature = "pictures")]
mod thumbnail;
mod turned;
mod unreadable;
mod upright;
mod views;
mod walk;

pub use augment::{Augment, Augmentation, ColorJitter, RandAugment};
pub(crate) use balance::balanced_order;
pub use balance::{class_weights, pos_weight};
pub use decode::{SUFFIXES, has_picture_suffix, is_decoding};
pub use download::Progress;
pub use framing::{ChannelOrder, Grey16, Interpolation, Orientation, Resize, Transparency};
pub use known::classes;
pub use locate::open;
pub use part::Part;
pub use picture::{MAX_PIXELS, Picture};
pub use preprocessing::{NAMES as PREPROCESSINGS, Preprocessing};
pub use saved::SPLIT;
pub use set::DataSet;
pub use split::Split;
pub use table::{Blank, TableOptions, Uncertain};
pub use targets::Targets;
pub use unreadable::Unreadable;
pub use views::Views;
pub use walk::{Found, LeftOut, pictures_in};

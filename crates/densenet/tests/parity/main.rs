//! The networks held to central differences and to PyTorch.

#[path = "../common/bounds.rs"]
mod bounds;
mod differences;
#[path = "../common/distance.rs"]
mod distance;
mod fast;
mod golden;
#[path = "../common/kinds.rs"]
mod kinds;
#[path = "../common/named.rs"]
mod named;
mod pytorch;
#[path = "../common/sets.rs"]
mod sets;

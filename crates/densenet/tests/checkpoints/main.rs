//! Weight files of other programs: what is read of them, and what is refused.

mod broken;
mod corpus;
#[path = "../common/distance.rs"]
mod distance;
mod explained;
mod goldens;
mod invented;
mod kinds;
#[path = "../common/named.rs"]
mod named;
mod outputs;
#[path = "../common/peers.rs"]
mod peers;
mod written;

//! Weight files of other programs: what is read of them, and what is refused.

mod answers;
mod broken;
mod corpus;
mod goldens;
mod invented;
mod written;

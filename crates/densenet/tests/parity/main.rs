//! The networks held to central differences and to PyTorch.

mod differences;
mod fast;
mod golden;
mod pytorch;

//! The networks held to central differences and to PyTorch.

mod differences;

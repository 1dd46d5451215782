//! Batch-norm in three parts: statistics once per feature map, the linear part in the readers, one correction per map.
//!
//! In training a channel has the same batch mean and variance for every layer that reads it, so they are computed once,
//! when it is made. In the backward pass, with `z = gamma * xh + beta` and `dz` the gradient at a reader, masked by its
//! ReLU,
//!
//! ```text
//! G  = sum over readers of gamma * dz        added up by the readers' backward_data
//! S0 = sum over readers of gamma * sum(dz)   S1 = sum over readers of gamma * sum(dz * xh)
//! dx = (G - S0 / M - xh * S1 / M) / sigma    once, when all readers are done
//! ```
//!
//! with `M` the number of pixels in the batch: the textbook form at each reader, summed (it is linear in `dz`).

pub(crate) mod backward;
pub(crate) mod correction;
mod normalised;
mod statistics;

pub use correction::{Correction, Uncorrected, finish};
pub(crate) use normalised::relu_bound;
pub use normalised::{NormGradient, Normalised, Write};
pub(crate) use statistics::run_with_moments;
pub use statistics::{EPSILON, MOMENTUM, Moments, affine, inv_std};

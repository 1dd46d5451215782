//! The network built from the fast operations: one buffer per block, no concatenation, and statistics and batch-norm
//! corrections once per feature map.
//!
//! [`DenseNet`] holds the weights and predicts; [`Backprop`] takes training steps. Both are generic over `f32` and `f64`.

mod activations;
mod arena;
mod backprop;
mod backward;
mod batch;
mod block;
mod body;
mod calibrator;
mod classifier;
mod classifier_step;
mod densenet;
mod fingerprint;
mod float_body;
mod float_stem;
mod folded;
mod gradients;
mod head;
mod integer_body;
mod integer_conv;
mod integer_stem;
mod load;
mod memory;
mod micro_batches;
mod pool;
mod pre_activation;
mod predictor;
mod quantized;
mod shape;
mod statistics;
mod stem;
mod step_targets;
mod steps;
mod sum;
mod weights;

pub use backprop::{Backprop, StepOptions, StepOutcome};
pub use calibrator::Calibrator;
pub use densenet::{DenseNet, Features};
pub use densenet_kernels::conv::MathMode;
pub use densenet_kernels::loss::Loss;
pub(crate) use folded::fold;
pub use gradients::BlockGradients;
pub use memory::Memory;
pub use step_targets::StepTargets;
pub use steps::{Method, Part, Step};

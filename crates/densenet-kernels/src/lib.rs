//! Arrays and operations of a DenseNet, without networks.
//!
//! [`mod@reference`] contains a plain, readable form of every operation, forward and backward, against which the fast
//! ones are checked. The fast ones work on [feature maps](FeatureMaps) and go through [`simd`], which selects the
//! instruction set; they are generic over `f32`, for use, and `f64`, to check the same code to fourteen digits.

pub mod batch_norm;
pub mod conv;
pub mod direct;
mod dropout;
mod epilogue;
mod gemm;
pub mod head;
mod instantiate;
pub mod int8;
pub mod linear;
pub mod loss;
mod memory;
mod pack;
mod parallel;
pub mod peak;
pub mod random;
pub mod reference;
mod scalar;
mod shapes;
pub mod simd;
pub mod stem;
pub mod winograd;

pub use dropout::Dropout;
pub use gemm::PackedWeights;
pub use memory::{Aligned, Scratch};
pub use pack::Input;
pub use scalar::{Bf16, Precision, Scalar};
pub use shapes::{Affine, FeatureMap, FeatureMaps, Grid, Pooling, Window};

/// A number type for which all operations are compiled: `f32` or `f64`.
pub trait Real:
    simd::Dispatch
    + Scratch
    + batch_norm::correction::Instance<Self>
    + conv::Instance<Self>
    + direct::backward_1x1::Instance<Self>
    + direct::backward_bias::Instance<Self>
    + direct::backward_data::Instance<Self>
    + direct::backward_pictures::Instance<Self>
    + direct::backward_weights::Instance<Self>
    + direct::forward::Instance<Self>
    + head::Instance<Self>
    + linear::Instance<Self>
    + stem::Instance<Self>
    + winograd::backward_data::Instance<Self>
    + winograd::backward_weights::Instance<Self>
    + winograd::filters::Instance<Self>
    + winograd::forward::Instance<Self>
{
}

impl Real for f32 {}
impl Real for f64 {}

//! Types shared by the forward and the backward pass.

use densenet_kernels::Scalar;
use densenet_kernels::reference::batch_norm::Statistics;
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::{Shape4, conv};

use crate::architecture::{Conv, Norm};
use crate::config::StemPool;

/// Pictures and what they show.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    /// `(N, C, H, W)` of the pictures.
    pub shape: Shape4,
    /// The pictures, of `shape`.
    pub images: &'a [T],
    /// `(N)`, each below the number of classes.
    pub labels: &'a [usize],
}

/// Feature maps, row-major.
#[derive(Clone, Debug)]
pub(super) struct Map<T> {
    pub shape: Shape4,
    pub values: Vec<T>,
}

/// What the backward pass needs from the forward pass.
#[derive(Debug)]
pub(super) struct Tape<T> {
    /// Every batch-norm's input, in order.
    pub inputs: Vec<Map<T>>,
    /// Positions of the stem's maxima, if it takes any.
    pub stem_places: Vec<usize>,
    /// Positions of the head's maxima.
    pub head_places: Vec<usize>,
    /// Every linear layer's input, in order.
    pub linear_inputs: Vec<Vec<T>>,
}

impl<T> Tape<T> {
    pub fn new() -> Self {
        Self { inputs: Vec::new(), stem_places: Vec::new(), head_places: Vec::new(), linear_inputs: Vec::new() }
    }
}

/// The batch-norm's part of the `running` statistics.
pub(super) fn running_statistics<T: Scalar>(norm: &Norm, running: &[T]) -> Statistics<T> {
    Statistics { mean: running[norm.mean.clone()].to_vec(), variance: running[norm.variance.clone()].to_vec() }
}

/// The convolution's geometry as an argument for the reference operations.
pub(super) fn geometry(conv: &Conv) -> conv::Conv {
    conv::Conv { out_channels: conv.out_channels, kernel: conv.kernel, stride: conv.stride, padding: conv.padding }
}

/// The window of a stem's pooling as an argument for the reference operations.
pub(super) fn window(StemPool { kernel, stride, padding, .. }: StemPool) -> Pool {
    Pool { kernel, stride, padding }
}

//! What the forward and the backward pass share.

use densenet_kernels::reference::pool::MaxPool;
use densenet_kernels::reference::{Shape4, conv};

use crate::architecture::Conv;

/// The stem's pooling (table 1 of the paper).
pub(super) const STEM_POOL: MaxPool = MaxPool { kernel: 3, stride: 2, padding: 1 };

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

/// Every batch-norm's input, in the order of the forward pass, and the stem's maxima.
#[derive(Debug)]
pub(super) struct Tape<T> {
    pub inputs: Vec<Map<T>>,
    pub stem_places: Vec<usize>,
}

/// The convolution's geometry in the words of the reference operations.
pub(super) fn geometry(conv: &Conv) -> conv::Conv {
    conv::Conv { out_channels: conv.out_channels, kernel: conv.kernel, stride: conv.stride, padding: conv.padding }
}

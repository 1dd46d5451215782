//! How a network is written as ONNX.

/// How a network is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Fold a batch-norm into the convolution before it where that is exact: the stem's, and the second of a dense
    /// layer with a bottleneck. The others are followed by a ReLU and do not fold.
    pub fold: bool,
    /// Leave height and width of the pictures open; not for a network that classifies all pixels.
    pub dynamic_size: bool,
}

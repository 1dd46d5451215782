//! Options for writing a network as ONNX.

/// Options for writing a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Fold a batch-norm into the convolution before it where that is exact: the stem's, and the second one of a dense
    /// layer with a bottleneck. The other batch-norms have no convolution right before them and do not fold.
    pub fold: bool,
    /// Leave height and width of the pictures open; not possible for a network that classifies all pixels.
    pub dynamic_size: bool,
}

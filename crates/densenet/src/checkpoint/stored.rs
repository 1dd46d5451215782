//! What the readers of all file formats share: a tensor's description, and where its bytes come from.

use std::io::{Read, Seek};

use safetensors::Dtype;

/// A tensor as a weight file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name in the file; for a PyTorch file, without the names of the dictionaries around the weights.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
}

impl Stored {
    /// Whether its elements are floating-point numbers that can be read into `f32`.
    pub(super) fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
    }

    /// Number of elements; `None` where it is absurd.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
    }
}

/// A source of a weight file's bytes.
pub(super) trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

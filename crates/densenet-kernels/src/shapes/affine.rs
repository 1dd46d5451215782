//! The linear part of a batch-norm.

use std::ops::Range;

/// Scale and shift of a batch-norm, one of each per channel: `z = scale * x + shift`.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// `gamma / sqrt(variance + eps)`.
    pub scale: &'a [T],
    /// `beta - mean * scale`.
    pub shift: &'a [T],
}

impl<T> Affine<'_, T> {
    /// Scale and shift of some channels.
    pub(crate) fn channels(self, channels: Range<usize>) -> Self {
        Self { scale: &self.scale[channels.clone()], shift: &self.shift[channels] }
    }
}

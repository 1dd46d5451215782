//! Batches of a data set, each prepared on another thread while the one before it is worked on.

use std::ops::ControlFlow;

use ndarray::Array4;

use crate::Result;
use crate::data::{Augment, Preprocessing, Split};
use crate::prefetch::prefetch;

/// Pictures ready for a network, and what they show.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `(N, C, H, W)`.
    pub images: Array4<f32>,
    /// `(N)`.
    pub labels: Vec<u32>,
}

/// Where batches come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub split: &'a Split,
    pub preprocessing: &'a Preprocessing,
    pub augment: Augment,
    /// Of the random changes to the pictures.
    pub seed: u64,
}

impl Source<'_> {
    fn batch(&self, indices: &[usize]) -> Result<Batch> {
        let (channels, size) = (self.preprocessing.channels(), self.preprocessing.size);
        let mut images = Array4::zeros((indices.len(), channels, size, size));
        let out = images.as_slice_mut().expect("a new array is contiguous");
        self.split.fill(indices, self.preprocessing, self.augment, self.seed, out)?;
        let labels = indices.iter().map(|&index| self.split.labels()[index] as u32).collect();
        Ok(Batch { images, labels })
    }

    /// Calls `work` with the batches of `order`, `size` pictures each (the last may have fewer), until it breaks.
    ///
    /// One batch at most waits while another is worked on.
    pub fn for_each<B>(
        &self,
        order: &[usize],
        size: usize,
        work: impl FnMut(Batch) -> Result<ControlFlow<B>>,
    ) -> Result<Option<B>> {
        prefetch(order.chunks(size), |indices| self.batch(indices), work)
    }
}

//! Iterating over some pictures of a data set in batches.

use std::ops::ControlFlow;

use ndarray::{Array4, Axis};

use super::preprocessing::Preprocessing;
use super::split::Split;
use super::views::Views;
use crate::Result;
use crate::prefetch::prefetch;

impl Split {
    /// Indices of at most `most` of its pictures, spread evenly over the part.
    pub fn spread(&self, most: usize) -> Vec<usize> {
        let count = self.len().min(most);
        (0..count).map(|i| i * self.len() / count).collect()
    }

    /// Calls `see` with those of `pictures` that can be read, `batch` at a time, together with the network's input for
    /// them, until it breaks. Meanwhile the next ones are decoded.
    ///
    /// # Errors
    /// Those of `see`, and pictures that cannot be prepared.
    pub fn each_batch(
        &self,
        pictures: &[usize],
        batch: usize,
        preprocessing: &Preprocessing,
        mut see: impl FnMut(&[usize], Array4<f32>) -> Result<ControlFlow<()>>,
    ) -> Result<Option<()>> {
        prefetch(
            pictures.chunks(batch),
            |pictures| Ok((pictures, self.views(pictures, preprocessing, Views::default())?)),
            |(pictures, (images, outcomes))| {
                let read: Vec<usize> = (0..pictures.len()).filter(|&place| outcomes[place].is_ok()).collect();
                if read.is_empty() {
                    return Ok(ControlFlow::Continue(()));
                }
                let kept: Vec<usize> = read.iter().map(|&place| pictures[place]).collect();
                see(&kept, if read.len() == pictures.len() { images } else { images.select(Axis(0), &read) })
            },
        )
    }
}

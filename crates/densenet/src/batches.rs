//! Batches of a data set, and how unreadable pictures are handled.

use ndarray::{Array4, Axis};

use crate::data::{Augmentation, Preprocessing, Split, Unreadable};
use crate::{Error, Result};

/// Pictures ready for a network.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `(N, C, H, W)`.
    pub images: Array4<f32>,
    /// `(N)`: the pictures' indices in their split.
    pub indices: Vec<usize>,
    /// Pictures that were requested but could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Where batches come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub split: &'a Split,
    pub preprocessing: &'a Preprocessing,
    pub augment: Augmentation,
    /// Seed of the random changes to the pictures.
    pub seed: u64,
}

impl Source<'_> {
    /// As many pictures as `indices`: the next picture that can be read takes the place of one that cannot, so that no
    /// batch becomes too small to train on.
    ///
    /// # Errors
    /// A batch in which no picture can be read.
    pub fn full(&self, indices: &[usize]) -> Result<Batch> {
        let (channels, size) = (self.preprocessing.channels(), self.preprocessing.size);
        let mut images = Array4::zeros((indices.len(), channels, size, size));
        let out = images.as_slice_mut().expect("a new array is contiguous");
        let outcomes = self.split.fill_each(indices, self.preprocessing, &self.augment, self.seed, out)?;
        let (mut places, mut unreadable) = (Vec::new(), Vec::new());
        for (place, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(()) => places.push(place),
                Err(error) => unreadable.push(self.split.unreadable(indices[place], &error)),
            }
        }
        if let Some(first) = unreadable.first() {
            if places.is_empty() {
                let reason = format!("{}; none of the {} pictures of a batch can be read", first.reason, indices.len());
                return Err(Error::format(&first.input, reason));
            }
            let next = |place| places.iter().copied().find(|&sound| sound >= place).unwrap_or(places[0]);
            places = (0..indices.len()).map(next).collect();
            images = images.select(Axis(0), &places);
        }
        let indices = places.iter().map(|&place| indices[place]).collect();
        Ok(Batch { images, indices, unreadable })
    }
}

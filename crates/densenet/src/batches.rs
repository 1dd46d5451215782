//! Batches of a data set, and what becomes of pictures that cannot be read.

use ndarray::{Array4, Axis};

use crate::data::{Augment, Preprocessing, Split, Unreadable};
use crate::{Error, Result};

/// Pictures ready for a network.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `(N, C, H, W)`.
    pub images: Array4<f32>,
    /// `(N)`: which pictures of their split they are.
    pub indices: Vec<usize>,
    /// Pictures that were asked for but could not be read.
    pub unreadable: Vec<Unreadable>,
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
    /// Those pictures of `indices` that can be read; there may be none.
    pub fn readable(&self, indices: &[usize]) -> Result<Batch> {
        self.read(indices, |sound| sound.to_vec())
    }

    /// As many pictures as `indices`: the place of one that cannot be read is taken by the next that can, so that no batch
    /// becomes too small to train on.
    ///
    /// # Errors
    /// A batch of which no picture can be read.
    pub fn full(&self, indices: &[usize]) -> Result<Batch> {
        let next = |sound: &[usize], place| sound.iter().copied().find(|&i| i >= place).or(sound.first().copied());
        let batch = self.read(indices, |sound| (0..indices.len()).filter_map(|place| next(sound, place)).collect())?;
        match batch.unreadable.first() {
            Some(first) if batch.indices.is_empty() => {
                let reason = format!("{}; none of the {} pictures of a batch can be read", first.reason, indices.len());
                Err(Error::format(&first.input, reason))
            }
            _ => Ok(batch),
        }
    }

    /// Reads `indices`; where not all of them can be read, `choose` says what is taken of the places of those that can.
    fn read(&self, indices: &[usize], choose: impl Fn(&[usize]) -> Vec<usize>) -> Result<Batch> {
        let (channels, size) = (self.preprocessing.channels(), self.preprocessing.size);
        let mut images = Array4::zeros((indices.len(), channels, size, size));
        let out = images.as_slice_mut().expect("a new array is contiguous");
        let outcomes = self.split.fill_each(indices, self.preprocessing, self.augment, self.seed, out)?;
        let (mut places, mut unreadable) = (Vec::new(), Vec::new());
        for (place, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(()) => places.push(place),
                Err(error) => unreadable.push(self.split.unreadable(indices[place], &error)),
            }
        }
        if !unreadable.is_empty() {
            places = choose(&places);
            images = images.select(Axis(0), &places);
        }
        let indices = places.iter().map(|&place| indices[place]).collect();
        Ok(Batch { images, indices, unreadable })
    }
}

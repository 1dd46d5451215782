//! What a network says of labelled pictures.

use ndarray::Array2;

use crate::data::{Targets, Unreadable};
use crate::output::Output;

/// What a network says of the pictures of a split that can be read, and what they show.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// `(N, C)`.
    pub logits: Array2<f32>,
    /// What the logits mean.
    pub output: Output,
    /// Of the same pictures.
    pub targets: Targets,
    /// `(N)`: which pictures of the split they are.
    pub pictures: Vec<usize>,
    /// Pictures that could not be read.
    pub unreadable: Vec<Unreadable>,
}

impl Predictions {
    /// `(N, C)`: probabilities from 0 to 1.
    pub fn probabilities(&self) -> Array2<f64> {
        let rows = self.logits.rows().into_iter().flat_map(|row| self.output.probabilities(row)).collect();
        Array2::from_shape_vec(self.logits.dim(), rows).expect("as many probabilities as logits")
    }
}

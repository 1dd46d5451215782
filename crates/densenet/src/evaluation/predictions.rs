//! A network's predictions for labelled pictures.

use ndarray::Array2;

use crate::data::{Targets, Unreadable};
use crate::output::Output;

/// A network's predictions for the readable pictures of a split, and what these show.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// `(N, C)`.
    pub logits: Array2<f32>,
    /// What the logits mean.
    pub output: Output,
    /// What the pictures show, in the same order.
    pub targets: Targets,
    /// `(N)`: the pictures' indices in the split.
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

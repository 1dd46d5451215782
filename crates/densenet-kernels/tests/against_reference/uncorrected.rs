//! The gradient of a map that waits for the correction of the batch-norm that reads it.

use densenet_kernels::Real;
use densenet_kernels::batch_norm::{Correction, Uncorrected};

use crate::block::{Reader, Typed};
use crate::draw::Draw;
use crate::layout::to_maps;

/// An output that a batch-norm reads, and the gradient after that, `(N, C, H, W)`.
pub struct UncorrectedOutput {
    reader: Reader,
    dz: Vec<f64>,
}

impl UncorrectedOutput {
    /// A random output of `(N, H, W)` and `out` channels.
    pub fn new(draw: &mut Draw, extents: (usize, usize, usize), out: usize) -> Self {
        let reader = Reader::new(draw, extents, &[out]);
        let dz = draw.values(reader.shape.len(), 1.0);
        Self { reader, dz }
    }

    /// The output's gradient, `(N, C, H, W)`.
    pub fn gradient(&self) -> Vec<f64> {
        self.reader.backward(&self.dz).dx
    }

    /// Calls `with` with the output's gradient before its correction.
    pub fn uncorrected<T: Real, R>(&self, with: impl FnOnce(&Uncorrected<'_, T>) -> R) -> R {
        let Self { reader, dz } = self;
        let gradient: Vec<T> = to_maps(reader.shape, &[reader.shape.c], &reader.scaled(dz));
        let (own, sums) = (Typed::new(reader), reader.backward(dz));
        let product =
            |sums: &[f64]| -> Vec<T> { reader.gamma.iter().zip(sums).map(|(gamma, sum)| T::of(gamma * sum)).collect() };
        let (s0, s1) = (product(&sums.dbeta), product(&sums.dgamma));
        let correction = Correction { mean: &own.mean, inv_std: &own.inv_std, s0: &s0, s1: &s1 };
        with(&Uncorrected { g: &gradient, map: &own.data, correction })
    }
}

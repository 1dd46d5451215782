//! Sums of gradients.

use densenet_kernels::Scalar;
use rayon::prelude::*;

use crate::optimiser::PIECE;

/// `sums += share * values`, using all threads.
pub(super) fn add_scaled<T: Scalar>(sums: &mut [T], values: &[T], share: T) {
    sums.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(|(sums, values)| {
        sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += share * value);
    });
}

/// Makes `to` a copy of `values`, using all threads.
pub(super) fn copy<T: Scalar>(to: &mut Vec<T>, values: &[T]) {
    to.resize(values.len(), T::zero());
    to.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(|(to, values)| to.copy_from_slice(values));
}

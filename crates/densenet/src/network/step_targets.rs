//! The targets of a training step.

use densenet_kernels::loss::one_hot;
use densenet_kernels::{Grid, Real};
use ndarray::ArrayView2;

use crate::{Architecture, Error, Result};

/// The targets of the pictures in a training step.
#[derive(Clone, Copy, Debug)]
pub enum StepTargets<'a, T> {
    /// `(N)`: one class per picture.
    Classes(&'a [u32]),
    /// `(N, classes)`: shares of each class that add up to 1, or labels from 0 to 1, NaN where not known, as expected
    /// by the [loss](super::Loss).
    Dense(ArrayView2<'a, T>),
}

impl<'a, T> From<&'a [u32]> for StepTargets<'a, T> {
    fn from(classes: &'a [u32]) -> Self {
        Self::Classes(classes)
    }
}

impl<'a, T> From<&'a Vec<u32>> for StepTargets<'a, T> {
    fn from(classes: &'a Vec<u32>) -> Self {
        Self::Classes(classes)
    }
}

impl<'a, T, const N: usize> From<&'a [u32; N]> for StepTargets<'a, T> {
    fn from(classes: &'a [u32; N]) -> Self {
        Self::Classes(classes)
    }
}

impl<'a, T> From<ArrayView2<'a, T>> for StepTargets<'a, T> {
    fn from(targets: ArrayView2<'a, T>) -> Self {
        Self::Dense(targets)
    }
}

impl<T: Real> StepTargets<'_, T> {
    /// The targets as `(N, classes)`, if there is a row for each picture of `grid` and every class is one of `arch`.
    pub(super) fn checked(&self, arch: &Architecture, grid: Grid) -> Result<Vec<T>> {
        arch.check_classifier()?;
        let classes = arch.config.num_classes;
        let count = match self {
            Self::Classes(labels) => labels.len(),
            Self::Dense(targets) => targets.nrows(),
        };
        if count != grid.images {
            return Err(Error::Config(format!("targets for {count} pictures, but there are {} pictures", grid.images)));
        }
        match self {
            Self::Classes(labels) => {
                if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
                    let reason = format!("label {i} is {label}; this network has classes 0 to {}", classes - 1);
                    return Err(Error::Config(reason));
                }
                Ok(one_hot(&labels.iter().map(|&label| label as usize).collect::<Vec<_>>(), classes))
            }
            Self::Dense(targets) if targets.ncols() != classes => {
                Err(Error::Config(format!("targets for {} classes; this network has {classes}", targets.ncols())))
            }
            Self::Dense(targets) => match targets.iter().find(|&&t| t < T::zero() || t > T::one()) {
                Some(target) => Err(Error::Config(format!("a target is {target}; it must be from 0 to 1, or NaN"))),
                None => Ok(targets.iter().copied().collect()),
            },
        }
    }
}

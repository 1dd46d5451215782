//! The target of an explanation.

use std::ops::Sub;

use densenet_kernels::Real;
use ndarray::Array2;

use crate::{Architecture, Error, Result};

/// A class or label whose score is explained, or the difference of two scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The class, from 0.
    pub class: usize,
    /// The class whose score is subtracted.
    pub against: Option<usize>,
}

impl Target {
    /// One class by itself.
    pub fn class(class: usize) -> Self {
        Self { class, against: None }
    }

    /// The same minus the score of another class.
    pub fn against(self, other: usize) -> Self {
        Self { against: Some(other), ..self }
    }

    /// The score of the target, where `of` returns the score of a class.
    pub fn score<S: Sub<Output = S>>(self, of: impl Fn(usize) -> S) -> S {
        match self.against {
            None => of(self.class),
            Some(other) => of(self.class) - of(other),
        }
    }

    /// The gradient of the target's logit with respect to the logits `(N, classes)` of `images` images.
    ///
    /// # Errors
    /// A class that a network with this architecture does not have.
    pub(super) fn gradient<T: Real>(self, architecture: &Architecture, images: usize) -> Result<Array2<T>> {
        self.check(architecture)?;
        let mut gradient = Array2::zeros((images, architecture.config.num_classes));
        for mut row in gradient.rows_mut() {
            row[self.class] += T::one();
            if let Some(other) = self.against {
                row[other] -= T::one();
            }
        }
        Ok(gradient)
    }

    /// Checks that a network with this architecture has the classes.
    pub(super) fn check(self, architecture: &Architecture) -> Result<()> {
        architecture.check_classifier()?;
        let classes = architecture.config.num_classes;
        match [Some(self.class), self.against].into_iter().flatten().find(|&class| class >= classes) {
            Some(class) => Err(Error::Config(format!("class {class} of {classes}; classes are counted from 0"))),
            None => Ok(()),
        }
    }
}

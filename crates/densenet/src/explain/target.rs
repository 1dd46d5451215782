//! What is explained.

use std::ops::Sub;

use crate::{Error, Result};

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

    /// The same less the score of another class.
    pub fn against(self, other: usize) -> Self {
        Self { against: Some(other), ..self }
    }

    /// The score of the target, where `of` gives the score of a class.
    pub fn score<S: Sub<Output = S>>(self, of: impl Fn(usize) -> S) -> S {
        match self.against {
            None => of(self.class),
            Some(other) => of(self.class) - of(other),
        }
    }

    /// Checks that a network of so many classes has them.
    pub(super) fn check(self, classes: usize) -> Result<()> {
        match [Some(self.class), self.against].into_iter().flatten().find(|&class| class >= classes) {
            Some(class) => Err(Error::Config(format!("class {class} of {classes}; they are counted from 0"))),
            None => Ok(()),
        }
    }
}

//! The features of several inputs.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ndarray::{Array2, ArrayView1};

/// What features are computed from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The picture in a file.
    Picture(PathBuf),
    /// The input at a place in a `.npy` file.
    Row(PathBuf, usize),
}

impl Source {
    /// The file that it is in.
    pub fn path(&self) -> &Path {
        match self {
            Self::Picture(path) | Self::Row(path, _) => path,
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picture(path) => write!(f, "{}", path.display()),
            Self::Row(path, place) => write!(f, "{}[{place}]", path.display()),
        }
    }
}

/// The features of inputs, in the order in which they were added.
pub struct Embeddings<S> {
    /// What the features are computed from.
    pub of: Vec<S>,
    /// `(N, values)`, all finite.
    pub values: Array2<f32>,
}

impl<S> Default for Embeddings<S> {
    fn default() -> Self {
        Self { of: Vec::new(), values: Array2::zeros((0, 0)) }
    }
}

impl<S: Display> Embeddings<S> {
    /// Checks that they have as many values as the `others`.
    pub fn check_like<T>(&self, others: &Embeddings<T>) -> Result<()> {
        let (values, wanted) = (self.values.ncols(), others.values.ncols());
        if values != wanted {
            bail!("{}: its features have {values} values; those that they are compared with have {wanted}", self.of[0]);
        }
        Ok(())
    }
}

impl<S> Embeddings<S> {
    /// Adds the `features` of an input, as many as those of the others.
    pub fn add(&mut self, of: S, features: ArrayView1<'_, f32>) -> Result<()> {
        if self.of.is_empty() {
            self.values = Array2::zeros((0, features.len()));
        }
        if features.len() != self.values.ncols() {
            let before = self.values.ncols();
            bail!("features of {} values follow others of {before}; all inputs must be the same size", features.len());
        }
        self.values.push_row(features)?;
        self.of.push(of);
        Ok(())
    }
}

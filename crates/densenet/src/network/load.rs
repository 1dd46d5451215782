//! A network out of a file.

use std::path::Path;

use super::DenseNet;
use crate::checkpoint::{Card, Reader};
use crate::{Architecture, Result};

impl DenseNet<f32> {
    /// Loads the network of a weight file that says which one it holds, with what the file says of itself.
    ///
    /// # Errors
    /// Those of [`Reader::open`], [`Reader::card`] and [`Reader::weights`]; every message names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<(Self, Card)> {
        let mut reader = Reader::open(path.as_ref())?;
        let card = reader.card()?;
        let weights = reader.weights(&Architecture::new(&card.config)?)?;
        Ok((Self::from_arenas(&card.config, weights.parameters, weights.running)?, card))
    }
}

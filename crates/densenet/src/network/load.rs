//! A network from a file, and into one.

use std::path::Path;

use super::densenet::DenseNet;
use crate::checkpoint::{Card, Contents};
use crate::{Architecture, Result, models};

impl DenseNet<f32> {
    /// Loads the network of a weight file, or the built-in model of that name, with what the file says about it.
    ///
    /// A file of another program says nothing: the network is inferred from its tensors, as by
    /// [`Reader::infer`](crate::checkpoint::Reader::infer), and the card knows neither preprocessing nor labels.
    ///
    /// # Errors
    /// Those of [`Reader`](crate::checkpoint::Reader)'s `open`, `card`, `infer` and `weights`; every message names the
    /// file.
    pub fn load(weights: impl AsRef<Path>) -> Result<(Self, Card)> {
        let mut reader = models::open(weights.as_ref())?;
        let card = match reader.has_card() {
            true => reader.card()?,
            false => {
                let config = reader.infer()?.config;
                reader.inferred_card(&config)?
            }
        };
        let weights = reader.weights(&Architecture::new(&card.config)?)?;
        Ok((Self::from_arenas(&card.config, weights.parameters, weights.running)?, card))
    }

    /// Saves the network as safetensors, with what `card` says of it.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is still there.
    pub fn save(&self, card: &Card, path: impl AsRef<Path>) -> Result<()> {
        let (architecture, parameters, running) = (self.architecture(), self.parameters(), self.running());
        Contents { card, architecture, parameters, running }.save(path.as_ref())
    }
}

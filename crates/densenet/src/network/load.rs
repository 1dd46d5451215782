//! Loading a network from a file, and saving it.

use std::path::Path;

use super::densenet::DenseNet;
use crate::checkpoint::{Card, Contents, Reader, Weights};
use crate::novelty::Reference;
use crate::{Architecture, Config, Result, models};

impl DenseNet<f32> {
    /// Loads the network from a weight file, or the built-in model with that name, with what the file says about it.
    ///
    /// If a file of another program says nothing, the network is inferred from its tensors, as by [`Reader::infer`],
    /// and the card has neither preprocessing nor labels.
    ///
    /// # Errors
    /// Those of [`DenseNet::read`] and of [`Reader::open`].
    pub fn load(weights: impl AsRef<Path>) -> Result<(Self, Card)> {
        Self::read(&mut models::open(weights.as_ref())?)
    }

    /// Like [`DenseNet::load`], for a file that is open.
    ///
    /// # Errors
    /// Those of [`Reader`]'s `card`, `infer`, `weights` and `reference`; every message names the file.
    pub fn read(file: &mut Reader) -> Result<(Self, Card)> {
        let card = match file.has_card() {
            true => file.card()?,
            false => {
                let config = file.infer()?.config;
                file.inferred_card(&config)?
            }
        };
        let architecture = Architecture::new(&card.config)?;
        let weights = file.weights(&architecture)?;
        let network = Self::of_weights(&card.config, weights)?;
        let network = match file.reference(&architecture)? {
            Some(reference) => network.with_reference(reference).map_err(|reason| file.wrong(reason))?,
            None => network,
        };
        Ok((network, card))
    }

    /// The network of `config` with weights read from a file: an int8 network if the file holds integers.
    ///
    /// # Errors
    /// Those of [`DenseNet::from_arenas`] and [`DenseNet::quantized`].
    pub fn of_weights(config: &Config, weights: Weights) -> Result<Self> {
        let Weights { parameters, running, quantization } = weights;
        match quantization {
            Some(quantization) => Self::quantized(config, parameters, running, quantization),
            None => Self::from_arenas(config, parameters, running),
        }
    }

    /// The same network with what is kept of its training pictures.
    ///
    /// # Errors
    /// A reference made by another network.
    pub fn with_reference(mut self, reference: Reference) -> Result<Self, String> {
        if reference.origin().weights != self.fingerprint() {
            return Err(
                "its reference to training pictures is from another network; make one with densenet reference".into()
            );
        }
        self.reference = Some(reference);
        Ok(self)
    }

    /// Saves the network as safetensors, with what `card` says about it.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is kept.
    pub fn save(&self, card: &Card, path: impl AsRef<Path>) -> Result<()> {
        self.contents(card).save(path.as_ref())
    }

    /// The contents of a weight file for the network.
    pub fn contents<'a>(&'a self, card: &'a Card) -> Contents<'a> {
        Contents {
            card,
            architecture: self.architecture(),
            parameters: self.parameters(),
            running: self.running(),
            quantization: self.quantization(),
            reference: self.reference(),
        }
    }
}

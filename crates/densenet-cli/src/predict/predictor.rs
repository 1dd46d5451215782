//! Networks that predict, with maps where these are wanted.

use std::path::{Path, PathBuf};

use anyhow::Result;
use densenet::Ensemble;
use densenet::explain::{ActivationMaps, Target};
use densenet::network::DenseNet;
use densenet::output::Output;
use ndarray::{Array2, ArrayView1, ArrayView4};

use crate::maps::MapFolder;
use crate::networks::Networks;
use crate::output::Misuse;

/// Networks that predict together, or one that explains its predictions.
pub struct Predictor<'a> {
    ensemble: Ensemble<'a>,
    mapped: Option<(&'a DenseNet, MapFolder)>,
}

impl<'a> Predictor<'a> {
    /// Predicts by `networks`; the maps of their predictions go to the folder `maps`.
    ///
    /// # Errors
    /// Networks without a classifier, or those that have no exact maps, where these are wanted.
    pub fn new(networks: &'a Networks, maps: Option<&Path>) -> Result<Self> {
        let ensemble = networks.ensemble()?;
        let Some(folder) = maps else { return Ok(Self { ensemble, mapped: None }) };
        if networks.contents().len() > 1 {
            return Err(Misuse("the mean of several networks has no map; --map takes one weight file".into()).into());
        }
        ActivationMaps::<f32>::check(networks.first().architecture())?;
        Ok(Self { ensemble, mapped: Some((networks.first(), MapFolder::create(folder)?)) })
    }

    /// What the logits mean.
    pub fn output(&self) -> Output {
        self.ensemble.output()
    }

    /// The logits of `images` `(N, C, H, W)`.
    pub fn logits(&self, images: ArrayView4<'_, f32>) -> Result<BatchLogits<'_>> {
        Ok(match &self.mapped {
            None => BatchLogits::Logits(self.ensemble.logits(images)?),
            Some((network, folder)) => BatchLogits::Mapped(ActivationMaps::new(network, images)?, folder),
        })
    }
}

/// Logits of a batch, with their maps where these are wanted.
pub enum BatchLogits<'a> {
    /// `(N, classes)`.
    Logits(Array2<f32>),
    /// Logits and maps, and where the maps go.
    Mapped(ActivationMaps<'a>, &'a MapFolder),
}

impl BatchLogits<'_> {
    /// Those of the input at a `place` of the batch.
    pub fn at(&self, place: usize) -> InputLogits<'_> {
        InputLogits { batch: self, place }
    }
}

/// Logits of one input.
pub struct InputLogits<'a> {
    batch: &'a BatchLogits<'a>,
    place: usize,
}

impl InputLogits<'_> {
    /// A logit a class.
    pub fn values(&self) -> ArrayView1<'_, f32> {
        match self.batch {
            BatchLogits::Logits(logits) => logits.row(self.place),
            BatchLogits::Mapped(maps, _) => maps.logits().row(self.place),
        }
    }

    /// Writes the map of `class`, where maps are wanted, and returns where it is.
    pub fn write_map(&self, input: &str, class: usize) -> Result<Option<PathBuf>> {
        let BatchLogits::Mapped(maps, folder) = self.batch else { return Ok(None) };
        let map = maps.map(self.place, Target::class(class))?;
        folder.write(input, "cam", &map).map(Some)
    }
}

//! Networks that are asked, and their answers, with maps where these are wanted.

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

/// Networks that answer together, or one that explains its answers.
pub struct Asked<'a> {
    ensemble: Ensemble<'a>,
    mapped: Option<(&'a DenseNet, MapFolder)>,
}

impl<'a> Asked<'a> {
    /// Asks `networks`; the maps of their answers go to the folder `maps`.
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

    /// What is answered about `images` `(N, C, H, W)`.
    pub fn answers(&self, images: ArrayView4<'_, f32>) -> Result<Answers<'_>> {
        Ok(match &self.mapped {
            None => Answers::Logits(self.ensemble.logits(images)?),
            Some((network, folder)) => Answers::Mapped(ActivationMaps::new(network, images)?, folder),
        })
    }
}

/// What is answered about a batch.
pub enum Answers<'a> {
    /// `(N, classes)`.
    Logits(Array2<f32>),
    /// Logits and maps, and where the maps go.
    Mapped(ActivationMaps<'a>, &'a MapFolder),
}

impl Answers<'_> {
    /// The answer about the input at a `place` of the batch.
    pub fn at(&self, place: usize) -> Answer<'_> {
        Answer { answers: self, place }
    }
}

/// What is answered about one input.
pub struct Answer<'a> {
    answers: &'a Answers<'a>,
    place: usize,
}

impl Answer<'_> {
    /// A logit a class.
    pub fn logits(&self) -> ArrayView1<'_, f32> {
        match self.answers {
            Answers::Logits(logits) => logits.row(self.place),
            Answers::Mapped(maps, _) => maps.logits().row(self.place),
        }
    }

    /// Writes the map of `class`, where maps are wanted, and returns where it is.
    pub fn write_map(&self, input: &str, class: usize) -> Result<Option<PathBuf>> {
        let Answers::Mapped(maps, folder) = self.answers else { return Ok(None) };
        let map = maps.map(self.place, Target::class(class))?;
        folder.write(input, "activation", &map).map(Some)
    }
}

//! Networks that predict, with maps if requested.

use std::path::{Path, PathBuf};

use anyhow::Result;
use densenet::Ensemble;
use densenet::explain::{ActivationMaps, Target};
use densenet::network::DenseNet;
use densenet::novelty::Reference;
use densenet::output::Output;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView4};

use super::novelty::Novelty;
use crate::maps::MapFolder;
use crate::networks::Networks;
use crate::output::Misuse;

/// Networks that predict together, or one that explains its predictions.
pub struct Predictor<'a> {
    networks: &'a Networks,
    ensemble: Ensemble<'a>,
    mapped: Option<(&'a DenseNet, MapFolder)>,
}

impl<'a> Predictor<'a> {
    /// Predicts by `networks`; the maps of their predictions go to the folder `maps`.
    ///
    /// # Errors
    /// Networks without a classifier, or without exact maps where maps are requested.
    pub fn new(networks: &'a Networks, maps: Option<&Path>) -> Result<Self> {
        let ensemble = networks.ensemble()?;
        let Some(folder) = maps else { return Ok(Self { networks, ensemble, mapped: None }) };
        if networks.contents().len() > 1 {
            return Err(Misuse("the mean of several networks has no map; --map takes one weight file".into()).into());
        }
        ActivationMaps::<f32>::check(networks.first().architecture())?;
        Ok(Self { networks, ensemble, mapped: Some((networks.first(), MapFolder::create(folder)?)) })
    }

    /// What the logits mean.
    pub fn output(&self) -> Output {
        self.ensemble.output()
    }

    /// The logits of `images` `(N, C, H, W)`.
    pub fn logits(&self, images: ArrayView4<'_, f32>) -> Result<BatchLogits<'_>> {
        let reference = self.networks.reference();
        let novelty = |pooled: ArrayView2<'_, f32>| {
            let of = |reference: &Reference| Novelty::of(reference, &reference.distances(pooled));
            reference.map(of).unwrap_or_default()
        };
        Ok(match (&self.mapped, reference) {
            (Some((network, folder)), _) => {
                let maps = ActivationMaps::new(network, images)?;
                BatchLogits { novelty: novelty(maps.pooled().view()), logits: Logits::Mapped(maps, folder) }
            }
            (None, Some(_)) => {
                let (pooled, logits) = self.networks.first().pooled_and_logits(images)?;
                BatchLogits { novelty: novelty(pooled.view()), logits: Logits::Plain(logits) }
            }
            (None, None) => BatchLogits::plain(self.ensemble.logits(images)?),
        })
    }

    /// Whether predictions say how far a picture is from the training pictures.
    pub fn tells_distances(&self) -> bool {
        self.networks.reference().is_some()
    }
}

/// Logits of a batch, with their maps if requested.
pub struct BatchLogits<'a> {
    logits: Logits<'a>,
    /// How far each input is from the training pictures, where that is known.
    novelty: Vec<Novelty>,
}

enum Logits<'a> {
    /// `(N, classes)`.
    Plain(Array2<f32>),
    /// Logits and maps, and where the maps go.
    Mapped(ActivationMaps<'a>, &'a MapFolder),
}

impl BatchLogits<'_> {
    /// Logits and nothing else.
    pub fn plain(logits: Array2<f32>) -> Self {
        Self { logits: Logits::Plain(logits), novelty: Vec::new() }
    }

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
    /// One logit per class.
    pub fn values(&self) -> ArrayView1<'_, f32> {
        match &self.batch.logits {
            Logits::Plain(logits) => logits.row(self.place),
            Logits::Mapped(maps, _) => maps.logits().row(self.place),
        }
    }

    /// How far the input is from the training pictures, where that is known.
    pub fn novelty(&self) -> Option<Novelty> {
        self.batch.novelty.get(self.place).copied()
    }

    /// Writes the map of `class`, if maps are requested, and returns its path.
    pub fn write_map(&self, input: &str, class: usize) -> Result<Option<PathBuf>> {
        let Logits::Mapped(maps, folder) = &self.batch.logits else { return Ok(None) };
        let map = maps.map(self.place, Target::class(class))?;
        folder.write(input, "cam", &map).map(Some)
    }
}

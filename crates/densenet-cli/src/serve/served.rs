//! A served model.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use densenet::Card;
use densenet::data::{Picture, Preprocessing};
use densenet::explain::{ActivationMaps, Target};
use densenet::output::Output;
use ndarray::{Array2, Array4, ArrayView4, Axis, concatenate, s};

use super::batcher::{Batcher, Batching, Done, Expected, Place};
use super::error::Refusal;
use super::metrics::ModelMetrics;
use crate::networks::Networks;
use crate::predict::novelty::Novelty;

/// The machine computes one batch at a time, for whichever model: all threads work on it.
pub type Machine = Arc<Mutex<()>>;

/// Inputs that are ready for the queue.
pub struct Prepared {
    /// `(N, C, H, W)`.
    pub inputs: Array4<f32>,
    /// Their announcement to the queue.
    pub expected: Expected,
}

/// A served model: its networks, and the queue before them.
pub struct Served {
    /// Its name for clients.
    pub name: String,
    /// Its weight files.
    pub paths: Vec<PathBuf>,
    /// The metrics of its requests.
    pub metrics: Arc<ModelMetrics>,
    networks: Arc<Networks>,
    machine: Machine,
    batcher: Batcher,
    labels: Vec<String>,
    output: Output,
}

impl Served {
    /// Serves `networks` as `name`.
    ///
    /// # Errors
    /// Networks that predict nothing, or that do not say how their pictures are prepared.
    pub fn start(
        name: &str,
        paths: Vec<PathBuf>,
        networks: Networks,
        batching: Batching,
        metrics: Arc<ModelMetrics>,
        machine: Machine,
    ) -> Result<Self> {
        networks.preprocessing()?;
        let (labels, output) = (networks.labels(), networks.ensemble()?.output());
        let networks = Arc::new(networks);
        let (own, alone, told) = (networks.clone(), machine.clone(), metrics.clone());
        let predict = move |inputs: ArrayView4<'_, f32>| {
            let _alone = alone.lock().expect("no thread panics with it");
            outputs(&own, inputs)
        };
        let batcher =
            Batcher::start(batching, predict, move |inputs| told.batch(inputs)).context("starting a thread")?;
        Ok(Self { name: name.into(), paths, metrics, networks, machine, batcher, labels, output })
    }

    /// Its card.
    pub fn card(&self) -> &Card {
        self.networks.card()
    }

    /// The names of its classes.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What its logits mean.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// How its pictures are prepared.
    pub fn preprocessing(&self) -> &Preprocessing {
        self.networks.preprocessing().expect("start has seen that there is one")
    }

    /// Channels, height and width of its inputs.
    pub fn input(&self) -> [usize; 3] {
        let preprocessing = self.preprocessing();
        [preprocessing.channels(), preprocessing.size, preprocessing.size]
    }

    /// Announces a request with `inputs` inputs, which are prepared next.
    ///
    /// # Errors
    /// A full queue.
    pub fn expect(&self, inputs: usize) -> Result<Expected, Refusal> {
        self.batcher.expect(inputs)
    }

    /// Waits for room in the queue for work that costs as much as an input.
    pub async fn place(&self) -> Place {
        self.batcher.place().await
    }

    /// The logits of what is prepared, and the classifier's input, if [`novelty`](Self::novelty) needs it.
    ///
    /// # Errors
    /// Those of [`Batcher::predict`].
    pub async fn predict(&self, prepared: Prepared, deadline: Option<Instant>) -> Result<(Done, Array2<f32>), Refusal> {
        let mut done = self.batcher.predict(prepared.expected, prepared.inputs, deadline).await?;
        let (classes, both) = (self.labels.len(), done.logits);
        done.logits = both.slice(s![.., ..classes]).to_owned();
        Ok((done, both.slice(s![.., classes..]).to_owned()))
    }

    /// How far the first input with these `features` is from the training pictures, if known.
    pub fn novelty(&self, features: &Array2<f32>) -> Option<Novelty> {
        let reference = self.networks.reference()?;
        Novelty::of(reference, &reference.distances(features.view())).first().copied()
    }

    /// The input for an encoded picture, `(1, C, H, W)`.
    ///
    /// # Errors
    /// A picture that cannot be decoded.
    pub fn prepare(&self, encoded: &[u8], max_pixels: usize) -> Result<Array4<f32>, Refusal> {
        let picture = Picture::decode_within(encoded, Path::new("picture"), max_pixels);
        let prepared = picture.and_then(|picture| self.preprocessing().batch(&[picture]));
        prepared.map_err(|error| Refusal { status: StatusCode::BAD_REQUEST, reason: error.to_string() })
    }

    /// The inputs for pictures that are already decoded.
    ///
    /// # Errors
    /// Pictures with other channels than the model accepts.
    pub fn prepare_pixels(&self, pictures: &[Picture<'_>]) -> Result<Array4<f32>, Refusal> {
        self.preprocessing().batch(pictures).map_err(|error| Refusal::bad(error.to_string()))
    }

    /// The class activation map of `class` for one input `(1, C, H, W)`: what each place adds to the logit.
    ///
    /// # Errors
    /// Several networks, or one without exact maps.
    pub fn map(&self, input: &Array4<f32>, class: usize) -> Result<Array2<f32>> {
        ensure!(self.paths.len() == 1, "the mean of several networks has no map");
        let _alone = self.machine.lock().expect("no thread panics with it");
        let maps = ActivationMaps::new(self.networks.first(), input.view())?;
        Ok(maps.map(0, Target::class(class))?)
    }
}

/// The logits of `inputs`, followed by the classifier's input if the network keeps a reference to its training
/// pictures.
fn outputs(networks: &Networks, inputs: ArrayView4<'_, f32>) -> Result<Array2<f32>> {
    if networks.reference().is_none() {
        return Ok(networks.ensemble()?.logits(inputs)?);
    }
    let (features, logits) = networks.first().pooled_and_logits(inputs)?;
    Ok(concatenate(Axis(1), &[logits.view(), features.view()])?)
}

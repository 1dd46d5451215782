//! A model that is served: its networks, a batcher before them, and how pictures become their input.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use densenet::data::Picture;
use densenet::explain::{ActivationMaps, Target};
use densenet::output::{Output, likeliest_first};
use ndarray::{Array4, ArrayView4};

use super::batcher::{Answer, Batcher, Gathering, Question};
use super::refusal::Refusal;
use crate::networks::Networks;

/// The version of every model.
pub const VERSION: &str = "1";

/// A model that is served.
pub struct Served {
    /// How requests call it.
    pub name: String,
    /// Its networks and what is known of them.
    pub networks: Arc<Networks>,
    /// The names of the classes.
    pub labels: Vec<String>,
    /// What the logits mean.
    pub output: Output,
    /// Whether a map of a class can be had.
    pub has_maps: bool,
    batcher: Batcher,
    max_pixels: usize,
}

impl Served {
    /// Serves `networks` as `name`. Of an encoded picture at most `max_pixels` are decoded.
    ///
    /// # Errors
    /// Networks without a classifier, or a thread that cannot be started.
    pub fn new(name: String, networks: Networks, gathering: Gathering, max_pixels: usize) -> Result<Self> {
        let output = networks.ensemble()?.output();
        let has_maps = networks.is_one() && ActivationMaps::<f32>::check(networks.first().architecture()).is_ok();
        let networks = Arc::new(networks);
        let asked = networks.clone();
        let batcher = Batcher::start(gathering, move |images, maps| infer(&asked, images, maps))?;
        Ok(Self { labels: networks.labels(), name, networks, output, has_maps, batcher, max_pixels })
    }

    /// Channels, and the side of the pictures that the networks are meant for.
    pub fn input(&self) -> (usize, usize) {
        let card = self.networks.card();
        (card.config.in_channels, card.input_size())
    }

    /// What the networks make of `images` `(N, C, H, W)`, with the map of the likeliest class of each where `maps` are wanted.
    ///
    /// # Errors
    /// Images that the networks do not take, too much that waits, or a deadline that passed.
    pub async fn ask(&self, images: Array4<f32>, maps: bool, deadline: Instant) -> Result<Answer, Refusal> {
        let (inputs, channels, height, width) = images.dim();
        let wanted = self.input().0;
        if inputs == 0 || channels != wanted {
            let reason = format!("{inputs} inputs of {channels} channels; at least one, of {wanted}, is needed");
            return Err(Refusal::Invalid(reason));
        }
        self.networks.check_size(height, width)?;
        let answer = self.batcher.ask(Question { images, maps, deadline })?;
        answer.await.map_err(|_| Refusal::Internal("the thread of inference has ended".into()))?
    }

    /// The input, one of `(1, C, H, W)`, that an encoded picture becomes; errors call it `name`.
    ///
    /// # Errors
    /// Bytes that are no picture, one that is too large, or a model that does not say how pictures are prepared.
    pub fn decoded(&self, bytes: &[u8], name: &str) -> Result<Array4<f32>, Refusal> {
        self.prepared(&Picture::decode_within(bytes, Path::new(name), self.max_pixels)?)
    }

    /// The input, one of `(1, C, H, W)`, that a picture becomes.
    ///
    /// # Errors
    /// A picture too long and thin, or a model that does not say how pictures are prepared.
    pub fn prepared(&self, picture: &Picture<'_>) -> Result<Array4<f32>, Refusal> {
        let preprocessing = self.networks.card().preprocessing()?;
        let (channels, size) = (preprocessing.channels(), preprocessing.size);
        let mut values = vec![0.0; preprocessing.elements()];
        preprocessing.apply(picture, &mut values)?;
        Ok(Array4::from_shape_vec((1, channels, size, size), values).expect("elements of that shape"))
    }
}

/// Asks `networks` about a batch, on the threads that everything runs on.
fn infer(networks: &Networks, images: ArrayView4<'_, f32>, maps: bool) -> Result<Answer> {
    if !maps {
        return Ok(Answer { logits: networks.ensemble()?.logits(images)?, maps: Vec::new() });
    }
    let output = networks.ensemble()?.output();
    let found = ActivationMaps::new(networks.first(), images)?;
    let map = |place| {
        let logits = found.logits().row(place);
        let likeliest = likeliest_first(&output.probabilities(logits), logits)[0];
        found.map(place, Target::class(likeliest))
    };
    let maps = (0..images.dim().0).map(map).collect::<Result<_, _>>()?;
    Ok(Answer { logits: found.logits().clone(), maps })
}

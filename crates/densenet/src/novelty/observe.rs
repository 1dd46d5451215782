//! A network's view of the pictures of a data set: a reference from them, and their scores.

use std::ops::ControlFlow;

use ndarray::{Array2, Axis};

use super::fit::{MOST_FEATURES, Sample};
use super::reference::{Distances, Reference};
use super::scores;
use crate::data::{Preprocessing, Split};
use crate::network::DenseNet;
use crate::{Card, Error, Result};

/// The most pictures from which a reference is made: this many training pictures, and this many others.
pub const MOST_PICTURES: usize = 10_000;

/// Number of pictures that go through the network at a time.
const BATCH: usize = 64;

/// A picture's scores, each higher the less the picture is like the training pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How far it is from the training pictures; `None` if the network keeps no reference to them.
    pub distances: Option<Distances>,
    /// Its [energy](scores::energy).
    pub energy: f64,
    /// 1 minus its [largest probability](scores::softmax).
    pub softmax: f64,
}

impl Reference {
    /// The reference of `network`, which `card` describes, to pictures of `data`: from `train`, which it was trained
    /// on, with a reach from `held_out`, which it was not trained on; at most [`MOST_PICTURES`] of each, spread evenly.
    /// Pictures that cannot be read are left out. `progress` is called with the number of pictures processed so far;
    /// returns `None` if it breaks.
    ///
    /// # Errors
    /// A card that does not say how pictures are prepared, or pictures from which no reference can be made.
    pub fn of_pictures(
        network: &DenseNet,
        card: &Card,
        data: &str,
        [train, held_out]: [&Split; 2],
        mut progress: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>> {
        let none =
            |reason: String| Error::DataSet { name: data.into(), reason: format!("no reference to it: {reason}") };
        let width = network.architecture().num_features;
        if width > MOST_FEATURES {
            return Err(none(format!(
                "the network has {width} features; a reference can have at most {MOST_FEATURES}"
            )));
        }
        let (preprocessing, mut seen) = (card.preprocessing()?, 0);
        let mut features = |split: &Split| {
            let mut found = Seen { features: Array2::zeros((0, width)), pictures: Vec::new() };
            let stopped =
                split.each_batch(&split.spread(MOST_PICTURES), BATCH, preprocessing, |pictures, images| {
                    let pooled = network.pooled(images.view())?;
                    found.features.append(Axis(0), pooled.view()).expect("rows of one length");
                    found.pictures.extend(pictures);
                    seen += pictures.len();
                    Ok(progress(seen))
                })?;
            Ok::<_, Error>(stopped.is_none().then_some(found))
        };
        let (Some(train_seen), Some(others)) = (features(train)?, features(held_out)?) else { return Ok(None) };
        let labels = train.labels();
        let classes: Vec<usize> = match labels.is_empty() {
            true => Vec::new(),
            false => train_seen.pictures.iter().map(|&picture| labels[picture]).collect(),
        };
        let sample =
            Sample { features: train_seen.features.view(), classes: &classes, held_out: others.features.view() };
        Self::fit(&sample, data, network.fingerprint()).map(Some).map_err(none)
    }
}

/// A network's output for pictures.
struct Seen {
    features: Array2<f32>,
    pictures: Vec<usize>,
}

/// The scores of the readable pictures of `split`, in order. `progress` is called with the number processed so far;
/// returns `None` if it breaks.
///
/// # Errors
/// A network without a classifier, or pictures that it cannot take.
pub fn scores_of(
    network: &DenseNet,
    split: &Split,
    preprocessing: &Preprocessing,
    mut progress: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Vec<Scores>>> {
    let (all, mut found): (Vec<usize>, Vec<Scores>) = ((0..split.len()).collect(), Vec::new());
    let stopped = split.each_batch(&all, BATCH, preprocessing, |_, images| {
        let (pooled, logits) = network.pooled_and_logits(images.view())?;
        let distances = network.reference().map(|reference| reference.distances(pooled.view()));
        found.extend(logits.rows().into_iter().enumerate().map(|(place, logits)| Scores {
            distances: distances.as_ref().map(|distances| distances[place]),
            energy: scores::energy(logits),
            softmax: scores::softmax(logits),
        }));
        Ok(progress(found.len()))
    })?;
    Ok(stopped.is_none().then_some(found))
}

//! Trials of settings on labelled pictures.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use densenet::checkpoint::{NewMaps, Weights};
use densenet::data::{Augment, DataSet, Split};
use densenet::network::DenseNet;
use densenet::output::{log_softmax, ranking};
use densenet::{Card, Config};
use indicatif::ProgressBar;
use ndarray::Array4;

use super::candidates::{self, Setting};
use super::order::{Taken, is_far_above, other_order};
use crate::output::counted;
use crate::preparing::{self, Preparing};
use crate::reading::{Found, Reading};

/// Pictures that go through the network at a time.
const BATCH: usize = 32;

/// Weights whose settings are looked for.
pub struct Patient {
    card: Card,
    /// The weights for each order of maps that the file may have.
    weights: Vec<(NewMaps, Weights)>,
    /// Sizes of pictures that are tried.
    pub sizes: Vec<usize>,
    /// The class of each label of the data.
    classes: Vec<usize>,
    /// Whether these classes were found by trials, and not by names or numbers.
    is_reordered: bool,
}

/// How well a setting does.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Pictures whose most likely class is the right one.
    pub correct: usize,
    /// Pictures tried.
    pub images: usize,
    /// What each picture was taken for.
    taken: Vec<Taken>,
}

impl Score {
    /// Share of the pictures whose most likely class is the right one; from 0 to 1.
    pub fn top1(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// Wilson's interval of 95 % for that share.
    pub fn interval(&self) -> (f64, f64) {
        let (n, p, z) = (self.images as f64, self.top1(), 1.96f64);
        let (centre, scale) = (p + z * z / (2.0 * n), 1.0 + z * z / n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
    }
}

impl Patient {
    /// The weights of `path`, and what the command line says about them.
    pub fn new(reading: &Reading, preparing: &Preparing, path: &Path, data: &DataSet) -> Result<Self> {
        let Found { card, weights, inferred, .. } = reading.read(path)?;
        let untold = inferred.is_some_and(|inferred| inferred.assumptions.iter().any(|a| a.option == "--new-maps"));
        let mut orders = vec![(NewMaps::Last, weights)];
        if untold {
            orders.push((NewMaps::First, reading.with_new_maps(NewMaps::First).read(path)?.weights));
        }
        let mut card = preparing.complete(card)?;
        let usual = preparing::usual(&card.config, &data.preprocessing);
        card.preprocessing = Some(card.preprocessing.unwrap_or(usual));
        let classes = classes(path, &card, data.test.classes())?;
        let native = data.preprocessing.size;
        // Pictures more than twice a network's usual size are unlikely, and would take all the time.
        let usual = card.config.input_size;
        let sizes = [usual, native, 224, 256].into_iter().filter(|&size| size <= 2 * usual).collect();
        Ok(Self { card, weights: orders, sizes, classes, is_reordered: false })
    }

    /// Every network and order of maps with every normalisation, as the file or the command line says first.
    pub fn networks_and_values(&self) -> Vec<Setting> {
        let base = self.card.preprocessing.as_ref().expect("the constructor gives one");
        let values = candidates::values(base);
        let networks = candidates::networks(&self.card.config);
        let orders = self.weights.iter().map(|(order, _)| *order);
        let pairs = networks.iter().flat_map(|config| orders.clone().map(move |order| (config, order)));
        let of = |(config, new_maps): (&Config, NewMaps)| {
            let setting = move |preprocessing: &_| Setting {
                config: config.clone(),
                new_maps,
                preprocessing: Clone::clone(preprocessing),
            };
            values.iter().map(setting).collect::<Vec<_>>()
        };
        pairs.flat_map(of).collect()
    }

    fn network(&self, setting: &Setting) -> Result<DenseNet> {
        let (_, weights) =
            self.weights.iter().find(|(order, _)| *order == setting.new_maps).unwrap_or(&self.weights[0]);
        Ok(DenseNet::of_weights(&setting.config, weights.clone())?)
    }

    /// Pictures of the usual setting that go through the network in a second.
    pub fn pictures_per_second(&self, split: &Split) -> Result<f64> {
        let setting = &self.networks_and_values()[0];
        let network = self.network(setting)?;
        let count = BATCH.min(split.len());
        // The first batch packs the weights.
        self.logits(&network, setting, split, &[0])?;
        let start = Instant::now();
        self.logits(&network, setting, split, &sample(split.len(), count))?;
        Ok(count as f64 / start.elapsed().as_secs_f64().max(1e-6))
    }

    fn logits(
        &self,
        network: &DenseNet,
        setting: &Setting,
        split: &Split,
        indices: &[usize],
    ) -> Result<ndarray::Array2<f32>> {
        let preprocessing = &setting.preprocessing;
        let mut images =
            Array4::zeros((indices.len(), preprocessing.channels(), preprocessing.size, preprocessing.size));
        let out = images.as_slice_mut().expect("a new array is contiguous");
        split.fill(indices, preprocessing, Augment::None, 0, out)?;
        Ok(network.logits(images.view())?)
    }

    /// How well `setting` does on `pictures` of `split`; none where the network cannot take pictures so small.
    fn score(&self, setting: &Setting, split: &Split, pictures: usize) -> Result<Option<Score>> {
        let (network, size) = (self.network(setting)?, setting.preprocessing.size);
        if network.architecture().block_sizes(size, size).is_err() {
            return Ok(None);
        }
        let mut score = Score::default();
        for indices in sample(split.len(), pictures).chunks(BATCH) {
            let logits = self.logits(&network, setting, split, indices)?;
            for (logits, &index) in logits.rows().into_iter().zip(indices) {
                let label = split.labels()[index];
                let (class, likeliest) = (self.classes[label], ranking(logits)[0]);
                score.loss -= log_softmax(logits)[class];
                score.correct += usize::from(likeliest == class);
                score.taken.push((label, likeliest));
                score.images += 1;
            }
        }
        score.loss /= score.images as f64;
        Ok(Some(score))
    }

    /// Takes the order of classes that the best of `scores` suggests, if it differs from the current one and explains
    /// far more than any of them; returns whether there is one.
    fn reorder(&mut self, scores: &[(Setting, Score)]) -> bool {
        let classes = self.card.config.num_classes;
        let orders = scores.iter().filter_map(|(_, score)| {
            let (order, explained) = other_order(&score.taken, &self.classes, classes)?;
            Some((order, explained, score.images))
        });
        let correct = scores.iter().map(|(_, score)| score.correct).max().unwrap_or(0);
        let best = orders.max_by_key(|&(_, explained, _)| explained);
        let better = best.filter(|&(_, explained, images)| is_far_above(explained, correct, images));
        let Some((order, ..)) = better else { return false };
        self.classes = order;
        self.is_reordered = true;
        true
    }

    /// The names of the network's classes in their order, taken from `labels`, if that order differs from the one by
    /// names or numbers.
    pub fn names(&self, labels: &[String]) -> Option<Vec<String>> {
        let name = |class: usize| match self.classes.iter().position(|&other| other == class) {
            Some(label) => labels[label].clone(),
            None => {
                Some(self.card.label(class)).filter(|name| !labels.contains(name)).unwrap_or(format!("class {class}"))
            }
        };
        self.is_reordered.then(|| (0..self.card.config.num_classes).map(name).collect())
    }
}

/// The class of each label: by its name where the network's are known, else by its number.
fn classes(path: &Path, card: &Card, labels: &[String]) -> Result<Vec<usize>> {
    let by_name: HashMap<&str, usize> = card.labels.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let named: Option<Vec<usize>> = labels.iter().map(|name| by_name.get(name.as_str()).copied()).collect();
    let count = card.config.num_classes;
    match named {
        Some(classes) => Ok(classes),
        None if labels.len() == count => Ok((0..count).collect()),
        None => bail!(
            "{}: {} with other names than the data's {}; the data must have the same classes",
            path.display(),
            counted(count, "class"),
            labels.len()
        ),
    }
}

/// That many of `0..len`, evenly spread.
fn sample(len: usize, count: usize) -> Vec<usize> {
    (0..count.min(len)).map(|i| i * len / count.min(len)).collect()
}

/// Scores of all `settings`, lowest loss first; those that suit no picture, or do exactly the same as another, are left
/// out. If they suggest another order of classes, they are tried again with it: a loss against the wrong classes is
/// misleading.
pub fn round(
    patient: &mut Patient,
    split: &Split,
    settings: Vec<Setting>,
    pictures: usize,
    bar: &ProgressBar,
) -> Result<Vec<(Setting, Score)>> {
    let mut distinct: Vec<Setting> = Vec::new();
    for setting in settings {
        if !distinct.contains(&setting) {
            distinct.push(setting);
        }
    }
    let scores = scores(patient, split, &distinct, pictures, bar)?;
    let mut scores =
        if patient.reorder(&scores) { self::scores(patient, split, &distinct, pictures, bar)? } else { scores };
    scores.sort_by(|(_, a), (_, b)| a.loss.total_cmp(&b.loss));
    scores.dedup_by(|(_, a), (_, b)| a.loss == b.loss);
    Ok(scores)
}

fn scores(
    patient: &Patient,
    split: &Split,
    settings: &[Setting],
    pictures: usize,
    bar: &ProgressBar,
) -> Result<Vec<(Setting, Score)>> {
    bar.set_length(settings.len() as u64);
    bar.set_position(0);
    bar.set_message(counted(pictures, "picture"));
    let mut scores = Vec::new();
    for setting in settings {
        if let Some(score) = patient.score(setting, split, pictures)? {
            scores.push((setting.clone(), score));
        }
        bar.inc(1);
    }
    Ok(scores)
}

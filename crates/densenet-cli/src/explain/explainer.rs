//! The maps of a picture.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use densenet::data::{Picture, Preprocessing};
use densenet::explain::{ActivationMaps, Target, occlusion};
use densenet::output::likeliest_first;
use ndarray::{Array2, ArrayView4, Axis};

use super::class::class_named;
use crate::maps::MapFolder;
use crate::model::Model;
use crate::output::{self, Misuse};
use crate::report::figures::{percent, short};

/// Classes that are told of each picture.
const TOLD: usize = 3;

/// A network, and what is to be explained of its predictions.
pub struct Explainer<'a> {
    model: &'a Model,
    preprocessing: &'a Preprocessing,
    labels: Vec<String>,
    class: Option<usize>,
    against: Option<usize>,
    /// Whether the network's activation maps are exact.
    exact: bool,
    occlusion: Option<usize>,
}

/// A picture and its maps.
pub struct Explained {
    /// The picture, as it is called.
    pub input: String,
    /// What the network sees of it.
    pub picture: Picture<'static>,
    /// What the network predicts.
    pub prediction: String,
    /// The class that is explained.
    pub class: String,
    /// The class that it is set against.
    pub against: Option<String>,
    /// The maps.
    pub maps: Vec<Map>,
}

/// A map by some method.
pub struct Map {
    /// The method, as files are named after it.
    pub method: &'static str,
    /// The method, for people.
    pub title: &'static str,
    /// What its values are.
    pub unit: &'static str,
    /// What there is to say of it.
    pub note: String,
    /// `(H, W)`.
    pub values: Array2<f32>,
    /// Where it is kept.
    pub file: PathBuf,
}

impl Explained {
    /// What is explained: `cat`, or `cat against dog`.
    pub fn target(&self) -> String {
        let against = self.against.as_ref().map(|other| format!(" against {other}")).unwrap_or_default();
        format!("{}{against}", self.class)
    }
}

impl<'a> Explainer<'a> {
    /// Explains the class of the first of `names`, or the likeliest, against that of the second if there is one, and by
    /// `occlusion` by squares of so many pixels, too.
    ///
    /// # Errors
    /// Classes that there are not, and a network that neither method can explain.
    pub fn new(model: &'a Model, names: [Option<&str>; 2], occlusion: Option<usize>) -> Result<Self> {
        let (architecture, labels) = (model.network.architecture(), model.labels());
        architecture.check_classifier()?;
        let [class, against] = names.map(|name| name.map(|name| class_named(name, &labels)).transpose());
        let (class, against) = (class?, against?);
        if class.is_some() && class == against {
            return Err(Misuse("--class and --against name the same class; two are needed".into()).into());
        }
        let exact = match (ActivationMaps::<f32>::check(architecture), occlusion) {
            (Ok(()), _) => true,
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(_)) => {
                output::note(format_args!("no class activation maps: {error}"));
                false
            }
        };
        Ok(Self { model, preprocessing: model.preprocessing()?, labels, class, against, exact, occlusion })
    }

    /// How a picture becomes the network's input.
    pub fn preprocessing(&self) -> &Preprocessing {
        self.preprocessing
    }

    /// Explains what the network predicts of `image`, `(1, C, H, W)`; the maps are written to the folder `out`.
    ///
    /// # Errors
    /// A prediction that is not finite, a square that does not fit, or whatever the file system reports.
    pub fn explain(&self, input: String, image: ArrayView4<'_, f32>, out: &Path) -> Result<Explained> {
        let network = &self.model.network;
        let exact = self.exact.then(|| ActivationMaps::new(network, image)).transpose()?;
        let logits = match &exact {
            Some(maps) => maps.logits().row(0).to_owned(),
            None => network.logits(image)?.row(0).to_owned(),
        };
        if logits.iter().any(|logit| !logit.is_finite()) {
            bail!("{input}: what the network makes of it is not finite, so it or the weights hold values that are not");
        }
        let probabilities = self.model.card.output().probabilities(logits.view());
        let likeliest = likeliest_first(&probabilities, logits.view());
        let target = Target { class: self.class.unwrap_or(likeliest[0]), against: self.against };
        let mut maps = Vec::new();
        if let Some(exact) = &exact {
            maps.push(activation(exact, target)?);
        }
        if let Some(size) = self.occlusion {
            maps.push(self.occluded(image, size, target)?);
        }
        let folder = MapFolder::create(out)?;
        for map in &mut maps {
            map.file = folder.write(&input, map.method, &map.values)?;
        }
        let told = |&class: &usize| format!("{} {}", self.labels[class], percent(probabilities[class]));
        Ok(Explained {
            input,
            picture: self.preprocessing.picture_of(image.to_owned().into_raw_vec_and_offset().0.as_slice()),
            prediction: likeliest.iter().take(TOLD).map(told).collect::<Vec<_>>().join(", "),
            class: self.labels[target.class].clone(),
            against: target.against.map(|other| self.labels[other].clone()),
            maps,
        })
    }

    fn occluded(&self, image: ArrayView4<'_, f32>, size: usize, target: Target) -> Result<Map> {
        let (network, output) = (&self.model.network, self.model.card.output());
        let values = occlusion(network, &output, image.index_axis(Axis(0), 0), size, target)?;
        let most = short(values.iter().copied().fold(f32::NEG_INFINITY, f32::max).into());
        let what = if target.against.is_some() { "the difference of the probabilities" } else { "the probability" };
        let note = format!("Where squares of {size}x{size} pixels cover the picture, {what} drops, at most by {most}.");
        Ok(Map {
            method: "occlusion",
            title: "Occlusion",
            unit: "drop of probability",
            note,
            values,
            file: PathBuf::new(),
        })
    }
}

/// The exact map of the first picture.
fn activation(maps: &ActivationMaps<'_>, target: Target) -> Result<Map> {
    let (values, bias) = (maps.map(0, target)?, maps.bias(target)?);
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    let logit = target.score(|class| maps.logits()[[0, class]]);
    let what = if target.against.is_some() { "the difference of the logits" } else { "the logit" };
    let [mean, bias, logit] = [mean, bias.into(), logit.into()].map(short);
    let note = format!("Its mean, {mean}, and the bias, {bias}, add up to {what}, {logit}.");
    Ok(Map { method: "activation", title: "Class activation map", unit: "logit", note, values, file: PathBuf::new() })
}

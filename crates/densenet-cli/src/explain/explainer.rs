//! The maps of a picture.

use std::path::Path;

use anyhow::{Result, bail};
use densenet::data::{Picture, Preprocessing};
use densenet::explain::{ActivationMaps, Target};
use densenet::output::likeliest_first;
use ndarray::{ArrayView4, Axis};

use super::class::class_named;
use super::map::{Explaining, Map};
use super::methods::{Method, Methods};
use crate::maps::MapFolder;
use crate::model::Model;
use crate::output::Misuse;
use crate::report::figures::percent;

/// Classes that are reported for each picture.
const TOLD: usize = 3;

/// A network, and what to explain about its predictions.
pub struct Explainer<'a> {
    model: &'a Model,
    preprocessing: &'a Preprocessing,
    labels: Vec<String>,
    class: Option<usize>,
    against: Option<usize>,
    methods: Vec<Method>,
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
    /// The class that it is compared with.
    pub against: Option<String>,
    /// The maps.
    pub maps: Vec<Map>,
}

impl Explained {
    /// What is explained: `cat`, or `cat against dog`.
    pub fn target(&self) -> String {
        let against = self.against.as_ref().map(|other| format!(" against {other}")).unwrap_or_default();
        format!("{}{against}", self.class)
    }
}

impl<'a> Explainer<'a> {
    /// Explains the class of the first of `names`, or the most likely one, against that of the second if there is one.
    ///
    /// # Errors
    /// Unknown classes, and those of [`Methods::of`].
    pub fn new(model: &'a Model, names: [Option<&str>; 2], methods: &Methods) -> Result<Self> {
        let (architecture, labels) = (model.network.architecture(), model.labels());
        architecture.check_classifier()?;
        let [class, against] = names.map(|name| name.map(|name| class_named(name, &labels)).transpose());
        let (class, against) = (class?, against?);
        if class.is_some() && class == against {
            return Err(Misuse("--class and --against name the same class; they must differ".into()).into());
        }
        let methods = methods.of(architecture)?;
        Ok(Self { model, preprocessing: model.preprocessing()?, labels, class, against, methods })
    }

    /// How a picture becomes the network's input.
    pub fn preprocessing(&self) -> &Preprocessing {
        self.preprocessing
    }

    /// Explains what the network predicts of `image`, `(1, C, H, W)`; the maps are written to the folder `out`.
    ///
    /// # Errors
    /// A prediction that is not finite, settings that the picture cannot have, or whatever the file system reports.
    pub fn explain(&self, input: String, image: ArrayView4<'_, f32>, out: &Path) -> Result<Explained> {
        let network = &self.model.network;
        let exact =
            self.methods.contains(&Method::Activation).then(|| ActivationMaps::new(network, image)).transpose()?;
        let logits = match &exact {
            Some(maps) => maps.logits().row(0).to_owned(),
            None => network.logits(image)?.row(0).to_owned(),
        };
        if logits.iter().any(|logit| !logit.is_finite()) {
            bail!("{input}: the network's output is not finite; the picture or the weights hold values that are not");
        }
        let output = self.model.card.output();
        let probabilities = output.probabilities(logits.view());
        let likeliest = likeliest_first(&probabilities, logits.view());
        let target = Target { class: self.class.unwrap_or(likeliest[0]), against: self.against };
        let image = image.index_axis(Axis(0), 0);
        let explaining = Explaining { network, output, image, target, exact: exact.as_ref() };
        let mut maps = self.methods.iter().map(|&method| explaining.map(method)).collect::<Result<Vec<_>>>()?;
        let folder = MapFolder::create(out)?;
        for map in &mut maps {
            map.file = folder.write(&input, map.method, &map.values)?;
        }
        let told = |&class: &usize| format!("{} {}", self.labels[class], percent(probabilities[class]));
        Ok(Explained {
            input,
            picture: self.preprocessing.picture_of(image.as_standard_layout().as_slice().expect("standard layout")),
            prediction: likeliest.iter().take(TOLD).map(told).collect::<Vec<_>>().join(", "),
            class: self.labels[target.class].clone(),
            against: target.against.map(|other| self.labels[other].clone()),
            maps,
        })
    }
}

//! Networks that predict together.

use anyhow::{Result, bail};
use densenet::checkpoint::Contents;
use densenet::data::Preprocessing;
use densenet::network::DenseNet;
use densenet::novelty::Reference;
use densenet::output::Output;
use densenet::{Card, Ensemble};

use crate::model::Model;
use crate::preparing;

/// Weights that predict together, by the mean of their probabilities: at least one network.
pub struct Networks(Vec<Model>);

impl Networks {
    /// Takes `models`, at least one.
    ///
    /// # Errors
    /// Networks that do not predict the same classes, or do not take the same pictures; the error names their files.
    pub fn new(models: Vec<Model>) -> Result<Self> {
        let (first, others) = models.split_first().expect("the command line names weights");
        others.iter().try_for_each(|other| check(first, other))?;
        Ok(Self(models))
    }

    /// What holds for all of them: classes, what these are called, and how pictures are prepared.
    pub fn card(&self) -> &Card {
        &self.0[0].card
    }

    /// The names of the classes.
    pub fn labels(&self) -> Vec<String> {
        self.0[0].labels()
    }

    /// How a picture becomes the networks' input.
    pub fn preprocessing(&self) -> Result<&Preprocessing> {
        self.0[0].preprocessing()
    }

    /// The first network.
    pub fn first(&self) -> &DenseNet {
        &self.0[0].network
    }

    /// What the network keeps about the pictures that it was trained on; several networks have nothing in common.
    pub fn reference(&self) -> Option<&Reference> {
        self.only()?.network.reference()
    }

    /// The network, where there is but one.
    pub fn only(&self) -> Option<&Model> {
        match &self.0[..] {
            [model] => Some(model),
            _ => None,
        }
    }

    /// The first network, to be changed.
    pub fn first_mut(&mut self) -> &mut DenseNet {
        &mut self.0[0].network
    }

    /// What each network's file would hold, and what its logits mean.
    pub fn contents(&self) -> Vec<(Contents<'_>, Output)> {
        self.0.iter().map(|model| (model.network.contents(&model.card), model.card.output())).collect()
    }

    /// The networks, ready to predict.
    pub fn ensemble(&self) -> Result<Ensemble<'_>> {
        Ok(Ensemble::new(self.0.iter().map(|model| (&model.network, model.card.output())))?)
    }
}

/// Refuses an `other` network that cannot predict together with the `first`.
fn check(first: &Model, other: &Model) -> Result<()> {
    let (file, against) = (other.path.display(), first.path.display());
    let (labels, known) = (other.labels(), first.labels());
    if labels.len() != known.len() {
        bail!(
            "{file} knows {} classes, {against} {}; networks that predict together must agree",
            labels.len(),
            known.len()
        );
    }
    if let Some(class) = (0..labels.len()).find(|&class| labels[class] != known[class]) {
        let (label, known) = (&labels[class], &known[class]);
        bail!("class {class} of {file} is {label}, of {against} {known}; networks that predict together must agree");
    }
    if other.card.output().is_independent() != first.card.output().is_independent() {
        bail!(
            "of {file} and {against}, one has softmax outputs and the other sigmoid outputs; --output sets it for both"
        );
    }
    if other.card.preprocessing != first.card.preprocessing {
        let in_words =
            |model: &Model| model.card.preprocessing.as_ref().map_or("not stated".into(), preparing::in_words);
        bail!(
            "{file} takes pictures prepared differently from {against} ({} against {}); if that is wrong, set it for \
             both with options such as --preset and --size",
            in_words(other),
            in_words(first)
        );
    }
    let (channels, wanted) = (other.card.config.in_channels, first.card.config.in_channels);
    if channels != wanted {
        bail!("{file} takes {channels} input channels, {against} {wanted}; networks that predict together must agree");
    }
    Ok(())
}

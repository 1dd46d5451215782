//! From a weight file to a network's arenas.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::file::WeightFile;
use super::infer::{Inferred, infer};
use super::map_order::{self, NewMaps};
use super::modules::THRESHOLDS;
use super::stored::Stored;
use super::{CARRIED, COUNTER, Card, Weights, adapt, reference_tensors};
use crate::architecture::Tensor;
use crate::config::HeadPool;
use crate::data::Preprocessing;
use crate::init;
use crate::output::Output;
use crate::{Architecture, Config, Error, Result};

/// A weight file whose description has been read and found sound; the values are still in the file.
pub struct Reader {
    file: WeightFile,
    /// Where a layer's new maps go, if the caller said so.
    new_maps: Option<NewMaps>,
}

/// The number in the file of each tensor, by the architecture's name for it; `None` for one that is zero.
type Numbers = BTreeMap<String, Option<usize>>;

impl Reader {
    /// Opens `path` (a safetensors file, a PyTorch checkpoint, the index of several safetensors files, or a folder from
    /// a model hub) and reads the description of its tensors. If a file holds several networks, the usual one is
    /// chosen: an average of the weights before the weights themselves.
    ///
    /// # Errors
    /// A file that cannot be read, is in none of these formats, is cut off or damaged, or holds several networks of
    /// which none is the usual choice.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_entry(path, None)
    }

    /// Like [`Reader::open`], but of several networks in a file chooses the one whose key is `entry` (nested keys are
    /// joined by dots).
    ///
    /// # Errors
    /// Those of [`Reader::open`], and a file without such an entry.
    pub fn open_entry(path: &Path, entry: Option<&str>) -> Result<Self> {
        WeightFile::open(path, entry).map(|file| Self { file, new_maps: None })
    }

    /// The same reader, for layers whose new maps go there, whatever the running statistics show.
    pub fn with_new_maps(self, new_maps: Option<NewMaps>) -> Self {
        Self { new_maps, ..self }
    }

    /// Reads the header of a safetensors file that is in memory; errors call it `name`.
    ///
    /// # Errors
    /// Bytes that are not a safetensors file, or are cut off or damaged.
    pub fn in_memory(name: &str, bytes: &'static [u8]) -> Result<Self> {
        WeightFile::in_memory(name, bytes).map(|file| Self { file, new_maps: None })
    }

    /// The file's tensors: in its own order where it has one, else by name.
    pub fn tensors(&self) -> &[Stored] {
        &self.file.tensors
    }

    /// Whether the file has a card, so that [`Reader::card`] can succeed.
    pub fn has_card(&self) -> bool {
        Card::of_metadata(&self.file.texts).is_some()
    }

    /// What the file says about itself.
    ///
    /// # Errors
    /// A file without a card, e.g. from another program, or with a card whose fields are inconsistent.
    pub fn card(&self) -> Result<Card> {
        let unsaid = || Err("does not say which network it holds; densenet train writes files that do".into());
        let card = Card::of_metadata(&self.file.texts).unwrap_or_else(unsaid).map_err(|reason| self.wrong(reason))?;
        card.validate().map_err(|e| self.wrong(e.to_string()))?;
        Ok(card)
    }

    /// A card for a file that has none and holds the weights of `config`, completed with other information: a folder's
    /// `config.json`, torchxrayvision's thresholds, and PyTorch's batch counters (the highest of them).
    ///
    /// # Errors
    /// Counters or thresholds that cannot be read, or descriptions that do not fit the network.
    pub fn inferred_card(&mut self, config: &Config) -> Result<Card> {
        let mut card = Card::of(config.clone());
        if let Some(thresholds) = self.thresholds(config.num_classes)? {
            card.output = Some(Output::Sigmoid { thresholds: Some(thresholds), temperature: 1.0 });
            let xray = Preprocessing::named("xray")?;
            card.preprocessing = (config.in_channels == xray.channels()).then_some(xray);
        }
        if let Some(hub) = &self.file.hub {
            card = hub.complete(card);
            card.validate().map_err(|error| self.wrong(error.to_string()))?;
        }
        for index in 0..self.tensors().len() {
            if self.tensors()[index].name.ends_with(COUNTER) {
                card.batches_tracked = card.batches_tracked.max(self.file.count(index)?.unwrap_or(0));
            }
        }
        Ok(card)
    }

    /// The probability from which each of the `labels` labels counts as found, as torchxrayvision stores it beside the
    /// weights.
    fn thresholds(&mut self, labels: usize) -> Result<Option<Vec<Option<f32>>>> {
        let named = |stored: &Stored| stored.name.rsplit('.').next() == Some(THRESHOLDS) && stored.shape == [labels];
        let Some(index) = self.tensors().iter().position(|stored| named(stored) && stored.is_float()) else {
            return Ok(None);
        };
        let mut values = vec![0.0; labels];
        self.file.read(index, &mut values)?;
        Ok(Some(values.into_iter().map(|value| (value > 0.0 && value < 1.0).then_some(value)).collect()))
    }

    /// The network that the file holds: as the card says, else as [`Reader::infer`] infers it.
    ///
    /// # Errors
    /// Those of [`Reader::card`] and [`Reader::infer`].
    pub fn config(&self) -> Result<Config> {
        if self.has_card() { Ok(self.card()?.config) } else { Ok(self.infer()?.config) }
    }

    /// The network that the file holds, inferred from the names and shapes of its tensors alone, whatever they are
    /// called.
    ///
    /// # Errors
    /// A file that does not hold a DenseNet, or not unambiguously; the message says why and shows the tensors.
    pub fn infer(&self) -> Result<Inferred> {
        let [training, kept] = ["training", reference_tensors::KEY].map(|key| self.text(key).is_some());
        let beside = |name: &str| training && is_carried(name) || kept && name.starts_with(reference_tensors::PREFIX);
        let numbers = (0..self.tensors().len()).filter(|&index| !beside(&self.tensors()[index].name));
        let numbers: Vec<usize> = numbers.collect();
        let tensors: Vec<Stored> = numbers.iter().map(|&index| self.tensors()[index].clone()).collect();
        let mut inferred = infer(&tensors).map_err(|reason| self.wrong(reason))?;
        inferred.tensors.values_mut().flatten().for_each(|index| *index = numbers[*index]);
        let said = self.file.hub.as_ref().and_then(|hub| hub.head_pool);
        if let Some(head_pool) = said.filter(|_| inferred.config.head_pool != HeadPool::None) {
            inferred = inferred.with_head_pool(head_pool);
        }
        inferred.notes.splice(0..0, self.file.notes.iter().cloned());
        Ok(inferred)
    }

    /// The weights of `architecture`, stored under its names or any others, with channels in its order.
    ///
    /// # Errors
    /// A file that does not hold exactly that network; the message lists every tensor that is missing, unexpected or of
    /// another shape.
    pub fn weights(&mut self, architecture: &Architecture) -> Result<Weights> {
        self.weights_and_order(architecture).map(|(weights, _)| weights)
    }

    /// Like [`Reader::weights`], and also returns where a layer's new maps go in the file: as the caller said, else as
    /// the running statistics show; `None` where neither is known, so that the order of the paper is assumed. A file
    /// with a card has that order.
    ///
    /// # Errors
    /// Those of [`Reader::weights`].
    pub fn weights_and_order(&mut self, architecture: &Architecture) -> Result<(Weights, Option<NewMaps>)> {
        if self.holds_integers() {
            return Ok((self.integer_weights(architecture)?, Some(NewMaps::Last)));
        }
        let numbers = self.numbers(architecture)?;
        let mut weights = Weights {
            parameters: self.values(&numbers, "", &architecture.parameters)?,
            running: self.values(&numbers, "", &architecture.running)?,
            quantization: None,
        };
        let order = match self.has_card() {
            true => Some(NewMaps::Last),
            false => self.new_maps.or_else(|| map_order::told(architecture, &weights)),
        };
        if order == Some(NewMaps::First) {
            map_order::new_maps_last(architecture, &mut weights);
        }
        Ok((weights, order))
    }

    /// Initial weights of `architecture` for a training run with the classes `labels`, and notes on what was changed to
    /// make them fit. For other classes (if the file names its own) or another number of classes, the classifier is
    /// drawn from `seed`; for another number of input channels, the stem's kernels are summed or repeated, as timm does
    /// it.
    ///
    /// # Errors
    /// A file whose network differs in any other way; see [`Reader::weights`].
    pub fn initial(
        &mut self,
        architecture: &Architecture,
        labels: &[String],
        seed: u64,
    ) -> Result<(Weights, Vec<String>)> {
        let known = if self.has_card() { self.card()?.labels } else { Vec::new() };
        let config = &architecture.config;
        let Config { in_channels, num_classes, hidden, head_pool, input_size, .. } = self.config()?;
        let held = Config { in_channels, num_classes, hidden, head_pool, input_size, ..config.clone() };
        let held = Architecture::new(&held)?;
        let weights = self.weights(&held)?.dequantized(&held);
        let (parameters, _) = init::initial(architecture, seed);
        Ok(adapt::adapt(&held, weights, architecture, parameters, [&known, labels]))
    }

    /// The state of the training run, as [`Contents::save_training`](super::Contents::save_training) wrote it.
    ///
    /// # Errors
    /// A file without a state, or with one of another kind.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S> {
        let text = self.text("training");
        let text = text.ok_or_else(|| self.wrong("holds weights only, not the state of a training run".into()))?;
        serde_json::from_str(text).map_err(|e| self.wrong(format!("its state of the training run: {e}")))
    }

    /// The arenas carried from step to step in training, for each prefix and the tensors whose names it precedes, as
    /// [`Contents::save_training`](super::Contents::save_training) wrote them.
    ///
    /// # Errors
    /// A file that does not hold the weights of `architecture` under their own names, or lacks one of the tensors.
    pub fn carried(&mut self, architecture: &Architecture, places: &[(&str, &[Tensor])]) -> Result<Vec<Vec<f32>>> {
        let numbers = self.by_name();
        let weights = [("", &*architecture.parameters), ("", &*architecture.running)];
        self.compare(&numbers, &[&weights, places].concat()).map_err(|lists| self.differs(&lists))?;
        places.iter().map(|(prefix, tensors)| self.values(&numbers, prefix, tensors)).collect()
    }

    /// The file's text under `key`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.file.texts.get(key).map(String::as_str)
    }

    /// Reads tensor number `index`.
    pub(super) fn read(&mut self, index: usize, out: &mut [f32]) -> Result<()> {
        self.file.read(index, out)
    }

    pub(crate) fn wrong(&self, reason: String) -> Error {
        Error::format(&self.file.path, reason)
    }

    pub(super) fn differs(&self, lists: &str) -> Error {
        self.wrong(format!("does not hold the weights of this network\n{lists}"))
    }

    /// Each tensor under its name in the file.
    pub(super) fn by_name(&self) -> Numbers {
        self.tensors().iter().enumerate().map(|(index, stored)| (stored.name.clone(), Some(index))).collect()
    }

    /// Finds the tensors of `architecture` by their names, or else by inference.
    fn numbers(&self, architecture: &Architecture) -> Result<Numbers> {
        let expected: [(&str, &[Tensor]); 2] = [("", &architecture.parameters), ("", &architecture.running)];
        let named = self.by_name();
        let Err(by_name) = self.compare(&named, &expected) else { return Ok(named) };
        match self.infer() {
            Ok(Inferred { tensors, .. }) => {
                self.compare(&tensors, &expected).map_err(|lists| self.differs(&lists)).map(|()| tensors)
            }
            // With the network's own names, the list of differences says more.
            Err(_) if architecture.parameters.iter().any(|tensor| named.contains_key(&tensor.name)) => {
                Err(self.differs(&by_name))
            }
            Err(error) => Err(error),
        }
    }

    /// Compares the tensors that were found with the `expected` ones and lists every difference.
    pub(super) fn compare(&self, found: &Numbers, expected: &[(&str, &[Tensor])]) -> Result<(), String> {
        let mut found: BTreeMap<&str, Option<&Stored>> =
            found.iter().map(|(name, index)| (name.as_str(), index.map(|index| &self.tensors()[index]))).collect();
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for (prefix, tensors) in expected {
            for tensor in *tensors {
                let name = format!("{prefix}{}", tensor.name);
                match found.remove(name.as_str()) {
                    None => missing.push(name),
                    Some(Some(stored)) if stored.shape != tensor.shape || !stored.is_float() => misshapen
                        .push(format!("{name} is {:?} {:?} instead of {:?}", stored.dtype, stored.shape, tensor.shape)),
                    Some(_) => {}
                }
            }
        }
        let ignored =
            |name: &str| is_carried(name) || name.starts_with(reference_tensors::PREFIX) || name.ends_with(COUNTER);
        let unexpected = found.into_keys().filter(|name| !ignored(name)).map(String::from).collect();
        let lists = [("missing", missing), ("unexpected", unexpected), ("of another shape or type", misshapen)];
        let lists: Vec<String> = lists.iter().filter(|(_, names)| !names.is_empty()).map(list).collect();
        if lists.is_empty() { Ok(()) } else { Err(lists.join("\n")) }
    }

    /// Reads `tensors`, which are known to be in the file, into an arena; a missing bias is zero.
    pub(super) fn values(&mut self, numbers: &Numbers, prefix: &str, tensors: &[Tensor]) -> Result<Vec<f32>> {
        let number = |tensor: &Tensor| numbers.get(&format!("{prefix}{}", tensor.name)).copied().flatten();
        self.file.check_size(tensors.iter().filter_map(number))?;
        let mut arena = vec![0.0; tensors.last().map_or(0, |tensor| tensor.range.end)];
        for tensor in tensors {
            if let Some(index) = number(tensor) {
                self.file.read(index, &mut arena[tensor.range.clone()])?;
            }
        }
        Ok(arena)
    }
}

/// Whether a tensor belongs to the state of a training run.
fn is_carried(name: &str) -> bool {
    CARRIED.iter().any(|prefix| name.starts_with(prefix))
}

fn list((what, names): &(&str, Vec<String>)) -> String {
    format!("{what} ({}):\n  {}", names.len(), names.join("\n  "))
}

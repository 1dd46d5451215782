//! What a model file says about itself: what the network expects and what it predicts.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Preprocessing;
use crate::output::Output;
use crate::{Architecture, Config, Error, Result};

/// The metadata key under which a file keeps its card, as JSON text.
pub(crate) const KEY: &str = "densenet_card";

/// The version of the card format that is written; older ones can be read.
pub const CARD_VERSION: u32 = 1;

/// What a model file says about itself: the same in safetensors, in ONNX and in the output of `densenet info --json`;
/// `docs/card.md` has an example of each field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of the card format: 1; 0 for files from before cards had a version.
    #[serde(default)]
    pub card_version: u32,
    /// The network.
    pub config: Config,
    /// How pictures are prepared for it; `None` if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// What its logits mean; `None` if not stated, in which case the [usual meaning](Output::usual) applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// Names of the classes, in the order of the logits; empty if not known.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The data set that it was trained on; empty if not known.
    #[serde(default)]
    pub dataset: String,
    /// The seed of its training run.
    #[serde(default)]
    pub seed: u64,
    /// Number of epochs of training.
    #[serde(default)]
    pub epoch: usize,
    /// License of the weights, e.g. `MIT OR Apache-2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// PyTorch's batch counters (`num_batches_tracked`), kept for the way back to PyTorch; 0 where there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batches_tracked: u64,
    /// The version of this library that wrote it.
    #[serde(default)]
    pub version: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Card {
    /// A card for a network of which nothing else is known.
    pub fn of(config: Config) -> Self {
        Self {
            card_version: CARD_VERSION,
            config,
            preprocessing: None,
            output: None,
            labels: Vec::new(),
            dataset: String::new(),
            seed: 0,
            epoch: 0,
            licence: None,
            batches_tracked: 0,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// How pictures are prepared for the network.
    ///
    /// # Errors
    /// A card that does not say so.
    pub fn preprocessing(&self) -> Result<&Preprocessing> {
        self.preprocessing.as_ref().ok_or_else(|| {
            Error::Preprocessing(
                "the weights do not say how pictures are prepared for them; use --preset, or --mean, --std \
                 and --size"
                    .into(),
            )
        })
    }

    /// What the logits mean: as the card says, else the usual meaning for that many.
    pub fn output(&self) -> Output {
        self.output.clone().unwrap_or_else(|| Output::usual(self.config.num_classes))
    }

    /// Height and width of the pictures that the network is meant for, in pixels.
    pub fn input_size(&self) -> usize {
        self.preprocessing.as_ref().map_or(self.config.input_size, |preprocessing| preprocessing.size)
    }

    /// The name of a class, or e.g. `class 3` if it has none.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// The card as stored in a file's metadata.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("a card is plain data");
        BTreeMap::from([(KEY.into(), text)])
    }

    /// The card in a file's metadata, before it is [validated](Self::validate); `None` if another program wrote the
    /// metadata.
    ///
    /// # Errors
    /// What is wrong with the card, if there is one.
    pub(crate) fn of_metadata(texts: &HashMap<String, String>) -> Option<Result<Self, String>> {
        let value = match texts.get(KEY) {
            Some(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
            None => Ok(before_versions(texts)?),
        };
        Some(value.and_then(Self::of_value))
    }

    /// The card with its fields replaced by those of a JSON object, before it is [validated](Self::validate).
    ///
    /// # Errors
    /// What is wrong with the fields, and what would be right.
    pub fn with_fields(&self, fields: &Value) -> Result<Self, String> {
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let (Some(all), Some(fields)) = (whole.as_object_mut(), fields.as_object()) else {
            return Err("not a card; it must be a JSON object with a card's fields, as preprocessing or labels".into());
        };
        all.extend(fields.clone());
        Self::of_value(whole)
    }

    /// The card in a JSON object.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    fn of_value(value: Value) -> Result<Self, String> {
        let version = value.get("card_version").map_or(0, |version| version.as_u64().unwrap_or(u64::MAX));
        if version > CARD_VERSION.into() {
            return Err(format!("its card has version {version}; this program reads up to {CARD_VERSION}"));
        }
        let card: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Ok(Self { card_version: CARD_VERSION, ..card })
    }

    /// Checks that the card's fields are consistent.
    ///
    /// # Errors
    /// The first inconsistency, and what would be right.
    pub fn validate(&self) -> Result<()> {
        let Self { config, preprocessing, output, labels, .. } = self;
        preprocessing.as_ref().map_or(Ok(()), Preprocessing::validate)?;
        let classes = config.num_classes;
        output.as_ref().map_or(Ok(()), |output| output.validate(classes)).map_err(Error::Config)?;
        Architecture::new(config)?.block_sizes(self.input_size(), self.input_size())?;
        let prepared = preprocessing.as_ref().map(Preprocessing::channels);
        let named = (!labels.is_empty()).then_some(labels.len());
        let counts = [
            ("class names", named, classes, "classes"),
            ("channels prepared", prepared, config.in_channels, "input channels"),
        ];
        for (what, found, wanted, of) in counts {
            if let Some(found) = found.filter(|&found| found != wanted) {
                return Err(Error::Config(format!("{found} {what} for a network of {wanted} {of}")));
            }
        }
        Ok(())
    }
}

/// The card of a file from before cards had a version, where each field was a text of its own. Other programs write a
/// `config`, too, but none with a `block_config` in it.
fn before_versions(texts: &HashMap<String, String>) -> Option<Value> {
    // What a run needs to resume is stored beside the card.
    let fields = texts.iter().filter(|(name, _)| *name != "training");
    let fields = fields.filter_map(|(name, text)| Some((name.clone(), serde_json::from_str(text).ok()?)));
    let value = Value::Object(fields.collect());
    value.pointer("/config/block_config").is_some().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, String)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
    }

    #[test]
    fn a_card_of_fields_is_read_and_gets_a_version() {
        let config = Config::preset("seed").unwrap();
        let config = serde_json::to_string(&config).unwrap();
        let of = |more: &[(&str, String)]| Card::of_metadata(&texts(&[more, &[("config", config.clone())]].concat()));
        let card = of(&[("labels", r#"["a","b"]"#.into()), ("epoch", "3".into())]).unwrap().unwrap();
        assert_eq!((card.card_version, card.epoch, card.labels.len(), card.output), (CARD_VERSION, 3, 2, None));
        assert!(of(&[("preprocessing", r#"{"size":"big"}"#.into())]).unwrap().is_err());
    }

    #[test]
    fn the_metadata_of_another_program_are_no_card() {
        let config = ("config", r#"{"architecture":"densenet121"}"#.into());
        for other in [vec![config], vec![("config", "densenet121".into())], vec![("format", "pt".into())], vec![]] {
            assert!(Card::of_metadata(&texts(&other)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_card_of_a_later_version_is_refused() {
        let later = r#"{"card_version": 2, "config": "whatever that will be"}"#;
        let error = Card::of_metadata(&texts(&[(KEY, later.into())])).unwrap().unwrap_err();
        assert!(error.contains("version 2; this program reads up to 1"), "{error}");
    }
}

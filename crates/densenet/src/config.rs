//! One configuration for the whole family, with the terms of the field, and the presets.

mod head;
mod limits;
mod stem;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
pub use head::HeadPool;
use limits::{LARGEST, check};
pub use stem::{PoolKind, Stem, StemPool, StemShape};

/// The most values that the last block may leave per picture where nothing pools them.
pub(crate) const MOST_FEATURES: usize = 1 << 20;

/// How a layer's output `H(x)` is combined with its input `x`: the three patterns that the article compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Joining {
    /// `[x, H(x)]`: each layer reads the concatenation of all before it (equation 2 of the paper).
    #[default]
    Dense,
    /// `H(x) + x`: a pre-activation residual network (equation 1).
    Residual,
    /// `H(x)`: no shortcut.
    Plain,
}

impl Joining {
    /// The maps of its block that layer `i` reads (past the last layer: that the operation after the block reads): all
    /// earlier ones, or the newest.
    pub(crate) fn read_by(self, i: usize) -> Range<usize> {
        match self {
            Self::Dense => 0..i + 1,
            Self::Residual | Self::Plain => i..i + 1,
        }
    }
}

/// Where batch-norm and ReLU stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Before each convolution; each reader of a map has its own scale and shift ("composite function" in section 3).
    #[default]
    Pre,
    /// After each convolution: a map is normalised and rectified once for all its readers.
    Post,
}

impl Activation {
    fn is_pre(&self) -> bool {
        *self == Self::Pre
    }
}

/// A network of the family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels of the input picture; 1 is grayscale, 3 is RGB.
    pub in_channels: usize,
    /// Outputs of the classifier; 0 in a backbone, which has no classifier and outputs its features.
    pub num_classes: usize,
    /// The layers before the first block.
    pub stem: Stem,
    /// Output channels of the stem.
    pub num_init_features: usize,
    /// Layers of each dense block.
    pub block_config: Vec<usize>,
    /// Channels `k` that each layer adds.
    pub growth_rate: usize,
    /// Width of the 1x1 bottleneck in units of `k`; `None` for the basic layer.
    pub bn_size: Option<usize>,
    /// Factor `theta` by which a transition narrows its input: above 0, at most 1. Where layers are not densely
    /// connected, up to 2: a residual network widens.
    pub compression: f64,
    /// Probability that dropout zeroes an output of a dense layer's convolution; from 0 up to, not including, 1.
    #[serde(default)]
    pub drop_rate: f64,
    /// Whether convolutions have a bias.
    #[serde(default)]
    pub bias: bool,
    /// Whether a ReLU stands between the last batch-norm and the global pooling.
    #[serde(default = "yes")]
    pub final_relu: bool,
    /// How the last block's maps are reduced before they are classified.
    #[serde(default, skip_serializing_if = "HeadPool::is_average")]
    pub head_pool: HeadPool,
    /// Outputs of the linear layers, each with a bias and a ReLU, between the features and the classifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// How layers are connected.
    #[serde(default = "dense")]
    pub joining: Joining,
    /// Where batch-norm and ReLU stand. [`Activation::Post`] requires a dense or plain network, a stem without
    /// batch-norm, and a final ReLU.
    #[serde(default, skip_serializing_if = "Activation::is_pre")]
    pub activation: Activation,
    /// Native height and width of the input picture.
    pub input_size: usize,
}

fn yes() -> bool {
    true
}

fn dense() -> Joining {
    Joining::Dense
}

/// The names of the published networks that [`Config::preset`] knows.
pub const PRESETS: [&str; 13] = [
    "seed",
    "densenet121",
    "densenet169",
    "densenet201",
    "densenet264",
    "densenet161",
    "densenet-40-12",
    "densenet-100-12",
    "densenet-100-24",
    "densenet-bc-40-12",
    "densenet-bc-100-12",
    "densenet-bc-250-24",
    "densenet-bc-190-40",
];

impl Config {
    /// The preset of that name (see [`PRESETS`]), or a CIFAR network of any depth and growth rate named in the same
    /// way: `densenet-L-k` or `densenet-bc-L-k`.
    ///
    /// # Errors
    /// An unknown name (the message lists the known ones), or a depth that does not divide into three blocks.
    pub fn preset(name: &str) -> Result<Self> {
        Ok(match name {
            "seed" => Self::seed(),
            "densenet121" => Self::imagenet(&[6, 12, 24, 16], 32),
            "densenet169" => Self::imagenet(&[6, 12, 32, 32], 32),
            "densenet201" => Self::imagenet(&[6, 12, 48, 32], 32),
            "densenet264" => Self::imagenet(&[6, 12, 64, 48], 32),
            "densenet161" => Self::imagenet(&[6, 12, 36, 24], 48),
            _ => return Self::cifar_named(name),
        })
    }

    /// The CIFAR network called `densenet-L-k` or `densenet-bc-L-k`.
    fn cifar_named(name: &str) -> Result<Self> {
        let unknown = || Error::Config(format!("no model is called {name:?}; choose from {}", PRESETS.join(", ")));
        let numbers = name.strip_prefix("densenet-").ok_or_else(unknown)?;
        let (numbers, bc) = numbers.strip_prefix("bc-").map_or((numbers, false), |numbers| (numbers, true));
        let (depth, growth_rate) = numbers.split_once('-').ok_or_else(unknown)?;
        let [depth, growth_rate] = [depth, growth_rate].map(|text| text.parse::<u32>().map_err(|_| unknown()));
        let (depth, growth_rate, layer) = (depth? as usize, growth_rate? as usize, if bc { 6 } else { 3 });
        check(depth > 4 && (depth - 4) % layer == 0, || {
            format!("{name} has depth {depth}; it must be 4 plus {layer} for each layer of a block")
        })?;
        let config = if bc { Self::cifar_bc(depth, growth_rate) } else { Self::cifar(depth, growth_rate) };
        config.validate()?;
        Ok(config)
    }

    /// The article's network: one channel, ten classes, four blocks of four basic layers.
    fn seed() -> Self {
        Self {
            in_channels: 1,
            num_classes: 10,
            bn_size: None,
            bias: true,
            input_size: 96,
            ..Self::imagenet(&[4, 4, 4, 4], 32)
        }
    }

    /// The paper's ImageNet networks (table 1), with bottlenecks and compression.
    fn imagenet(block_config: &[usize], growth_rate: usize) -> Self {
        Self {
            in_channels: 3,
            num_classes: 1000,
            stem: Stem::ImageNet,
            num_init_features: 2 * growth_rate,
            block_config: block_config.to_vec(),
            growth_rate,
            bn_size: Some(4),
            compression: 0.5,
            drop_rate: 0.0,
            bias: false,
            final_relu: true,
            head_pool: HeadPool::Average,
            hidden: Vec::new(),
            joining: Joining::Dense,
            activation: Activation::Pre,
            input_size: 224,
        }
    }

    /// The paper's basic CIFAR networks (table 2): depth `L` is three blocks of `(L - 4) / 3` layers.
    fn cifar(depth: usize, growth_rate: usize) -> Self {
        Self {
            num_classes: 10,
            stem: Stem::Cifar,
            num_init_features: 16,
            bn_size: None,
            compression: 1.0,
            input_size: 32,
            ..Self::imagenet(&[(depth - 4) / 3; 3], growth_rate)
        }
    }

    /// The paper's DenseNet-BC for CIFAR (table 2): depth `L` is three blocks of `(L - 4) / 6` bottleneck layers.
    fn cifar_bc(depth: usize, growth_rate: usize) -> Self {
        Self {
            num_init_features: 2 * growth_rate,
            block_config: vec![(depth - 4) / 6; 3],
            bn_size: Some(4),
            compression: 0.5,
            ..Self::cifar(depth, growth_rate)
        }
    }

    /// Checks that this configuration describes a possible network.
    ///
    /// # Errors
    /// Names the first wrong value, and what would be right.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("in_channels", self.in_channels),
            ("num_init_features", self.num_init_features),
            ("growth_rate", self.growth_rate),
            ("bn_size", self.bn_size.unwrap_or(1)),
            ("input_size", self.input_size),
        ];
        for (name, value) in positive {
            check((1..=LARGEST).contains(&value), || format!("{name} is {value}; it must be from 1 to {LARGEST}"))?;
        }
        self.stem.validate()?;
        self.validate_head()?;
        check(!self.block_config.is_empty(), || "block_config is empty; it needs at least one block".into())?;
        check(self.block_config.len() <= 16, || {
            format!("block_config has {} blocks; at most 16 are accepted", self.block_config.len())
        })?;
        for (i, &layers) in self.block_config.iter().enumerate() {
            check((1..=1024).contains(&layers), || {
                format!("block_config[{i}] is {layers}; a block has from 1 to 1024 layers")
            })?;
        }
        // Residual networks double their channels where they halve the picture.
        let most = if self.joining == Joining::Dense { 1.0 } else { 2.0 };
        check(self.compression > 0.0 && self.compression <= most, || {
            format!("compression is {}; it must be above 0 and at most {most}", self.compression)
        })?;
        self.validate_activation()?;
        check((0.0..1.0).contains(&self.drop_rate), || {
            format!("drop_rate is {}; it must be from 0 up to, not including, 1", self.drop_rate)
        })?;
        let mut channels = self.num_init_features;
        for (i, &layers) in self.block_config.iter().enumerate() {
            channels = self.block_out(channels, layers);
            check(channels <= LARGEST, || {
                format!("block {} ends with {channels} channels; at most {LARGEST} are accepted", i + 1)
            })?;
            if i + 1 < self.block_config.len() {
                channels = self.compressed(channels);
                check(channels > 0, || {
                    format!("compression {} leaves transition {} without channels", self.compression, i + 1)
                })?;
            }
        }
        Ok(())
    }

    fn validate_activation(&self) -> Result<()> {
        let refused = [
            (self.joining == Joining::Residual, "residual"),
            (self.stem.shape().norm, "a stem with batch-norm"),
            (!self.final_relu, "no final ReLU"),
        ];
        let refused = refused.into_iter().find(|(refused, _)| *refused && self.activation == Activation::Post);
        refused.map_or(Ok(()), |(_, part)| {
            let reason = "a post-activation network is dense or plain, has a stem without batch-norm and a final ReLU";
            Err(Error::Config(format!("activation is post with {part}; {reason}")))
        })
    }

    fn validate_head(&self) -> Result<()> {
        let Self { num_classes, hidden, .. } = self;
        check(*num_classes <= LARGEST, || {
            format!("num_classes is {num_classes}; it must be from 1 to {LARGEST}, or 0 for a backbone")
        })?;
        check(*num_classes > 0 || hidden.is_empty(), || {
            "a backbone, whose num_classes is 0, has no hidden layers".into()
        })?;
        check(hidden.len() <= 16, || format!("hidden has {} layers; at most 16 are accepted", hidden.len()))?;
        for (i, width) in hidden.iter().enumerate() {
            check((1..=LARGEST).contains(width), || format!("hidden[{i}] is {width}; it must be from 1 to {LARGEST}"))?;
        }
        Ok(())
    }

    /// Channels at the end of a block of `layers` layers that starts with `channels`.
    pub(crate) fn block_out(&self, channels: usize, layers: usize) -> usize {
        match self.joining {
            Joining::Dense => channels + layers * self.growth_rate,
            Joining::Residual | Joining::Plain => channels,
        }
    }

    /// Channels after a transition that reads `channels`: `floor(theta * m)` (section 3 of the paper).
    pub(crate) fn compressed(&self, channels: usize) -> usize {
        (channels as f64 * self.compression).floor() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files from before there was any head but average pooling and one linear layer.
    #[test]
    fn files_without_a_head_have_the_usual_one() {
        let old = r#"{"in_channels": 3, "num_classes": 10, "stem": {"other": {"kernel": 5, "stride": 1, "norm": true,
            "pool": true}}, "num_init_features": 8, "block_config": [2, 2], "growth_rate": 4, "bn_size": 2,
            "compression": 0.5, "input_size": 32}"#;
        let config: Config = serde_json::from_str(old).unwrap();
        assert_eq!(config.stem.shape().pool, Some(StemPool::IMAGENET));
        assert_eq!((config.head_pool, config.hidden.len(), config.final_relu), (HeadPool::Average, 0, true));
        let text = serde_json::to_string(&config).unwrap();
        assert!(!text.contains("head_pool") && !text.contains("hidden"), "{text}");
        let other = Config { head_pool: HeadPool::None, hidden: vec![64, 32], ..config };
        let text = serde_json::to_string(&other).unwrap();
        assert!(text.contains(r#""head_pool":"none","hidden":[64,32]"#), "{text}");
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), other);
    }

    #[test]
    fn heads_that_cannot_be() {
        let base = Config::preset("densenet-bc-40-12").unwrap();
        let error =
            |num_classes, hidden| Config { num_classes, hidden, ..base.clone() }.validate().unwrap_err().to_string();
        Config { num_classes: 0, ..base.clone() }.validate().unwrap();
        assert!(error(0, vec![64]).contains("no hidden layers"));
        assert!(error(70_000, vec![]).contains("num_classes is 70000"));
        assert!(error(10, vec![64, 0]).contains("hidden[1] is 0"));
        assert!(error(10, vec![1; 17]).contains("17 layers"));
    }

    #[test]
    fn cifar_networks_have_any_depth() {
        let bc = Config::preset("densenet-bc-160-12").unwrap();
        assert_eq!((bc.block_config, bc.growth_rate, bc.bn_size, bc.num_init_features), (vec![26; 3], 12, Some(4), 24));
        assert_eq!(Config::preset("densenet-22-8").unwrap().block_config, [6; 3]);
        let wrong = [
            ("densenet-bc-101-12", "depth 101; it must be 4 plus 6 for each layer"),
            ("densenet-bc-4-12", "depth 4;"),
            ("densenet-bc-40-0", "num_init_features is 0"),
            ("densenet-bc-40", "no model"),
            ("densenet-40-x", "no model"),
            ("densenet-40-4294967295", "growth_rate is 4294967295"),
            ("resnet", "no model"),
            ("densenet-bc-600004-12", "a block has from 1 to 1024 layers"),
        ];
        for (name, part) in wrong {
            let error = Config::preset(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

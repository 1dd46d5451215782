//! Weight files of other programs, and what the command line says about them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args, ValueEnum};
use densenet::checkpoint::{Inferred, NewMaps, Reader, Weights};
use densenet::config::{HeadPool, Stem, StemPool, StemShape};
use densenet::network::{DenseNet, MathMode};
use densenet::novelty::Reference;
use densenet::{Architecture, Card, Config};

use crate::model::{self, Model};
use crate::networks::Networks;
use crate::output::{self, Misuse};
use crate::preparing::{self, Preparing};
use crate::text;
use crate::word::word;

/// What a weight file of another program does not say.
#[derive(Args, Clone)]
#[command(next_help_heading = "Weights of other programs [default: as the file says]")]
pub struct Reading {
    /// Which of several networks in a file: its key, or its keys joined by dots [default: averaged weights if there are
    /// any, else the weights]
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The network in the file, except for its input channels, and the pooling and linear layers at its end
    #[arg(long, value_name = "NAME", value_parser = model::preset, conflicts_with = "config")]
    model: Option<String>,
    /// A JSON file of the network's configuration, as info --json prints it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stride of the stem's convolution, in pixels [default: 2 for a 7x7 kernel, else 1]
    #[arg(long, value_name = "N")]
    stem_stride: Option<usize>,
    /// Pooling in the stem: none, max:K, max:K,S, max:K,S,P (kernel, stride, padding), or average:... [default: max:3,2,1
    /// for a 7x7 kernel with a batch-norm, else none]
    #[arg(long, value_name = "POOL", value_parser = stem_pool)]
    stem_pool: Option<Pool>,
    /// Whether a ReLU follows the last batch-norm [default: yes]
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no, action = ArgAction::Set)]
    final_relu: Option<bool>,
    /// Pooling before the classifier: average, max, or none for a classifier of all pixels [default: average, or none
    /// where the classifier reads that many values]
    #[arg(long, value_name = "POOL")]
    head_pool: Option<HeadPool>,
    /// Where a layer's new maps stand among those that the next layer reads: first or last [default: inferred from the
    /// running statistics, else last]
    #[arg(long, value_name = "first|last", value_parser = word::<NewMaps>)]
    new_maps: Option<NewMaps>,
    /// Compute with int8, bf16 or f32 [default: int8 where the file holds integers, else f32]
    #[arg(long, value_name = "P", value_enum, help_heading = None)]
    precision: Option<Precision>,
}

/// What a network computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 8-bit integers before the classifier
    Int8,
    /// bfloat16 products, where this processor is faster at them; everything else in single precision
    Bf16,
    /// Single precision
    F32,
}

/// A stem's pooling, or none.
#[derive(Clone, Copy, Debug)]
struct Pool(Option<StemPool>);

fn stem_pool(text: &str) -> Result<Pool, String> {
    match text {
        "none" | "no" => Ok(Pool(None)),
        "yes" => Ok(Pool(Some(StemPool::IMAGENET))),
        _ => text.parse().map(|pool| Pool(Some(pool))).map_err(|error: densenet::Error| error.to_string()),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it must be yes or no".into()),
    }
}

/// A weight file that was read.
pub struct Found {
    /// What the file says about itself, or what could be inferred.
    pub card: Card,
    /// Its weights.
    pub weights: Weights,
    /// What was inferred from a file that does not say what it is.
    pub inferred: Option<Inferred>,
    /// Whether another program wrote it.
    foreign: bool,
    /// The network that it claims to hold, or that its tensors imply, whatever the command line says.
    held: Option<Config>,
    /// What it keeps about the training pictures, which only predictions need.
    reference: densenet::Result<Option<Reference>>,
}

impl Reading {
    /// Reads `path`, or the built-in model of that name.
    pub fn read(&self, path: &Path) -> Result<Found> {
        let mut reader = model::open(path, self.entry.as_deref())?.with_new_maps(self.new_maps);
        let card = if reader.has_card() { Some(reader.card()?) } else { None };
        let inferred = match &card {
            Some(_) => None,
            None => self.infer(&reader)?,
        };
        let held =
            card.as_ref().map(|card| &card.config).or(inferred.as_ref().map(|inferred| &inferred.config)).cloned();
        let config = self.overrule(held.as_ref())?;
        let architecture = Architecture::new(&config)?;
        let (weights, order) = reader.weights_and_order(&architecture)?;
        model::warn_of_broken(&weights, &architecture, path);
        let reference = reader.reference(&architecture);
        let inferred = inferred.map(|inferred| inferred.with(config.clone()).with_order(order));
        let foreign = card.is_none();
        let card = match card {
            Some(card) => Card { config, ..card },
            None => reader.inferred_card(&config)?,
        };
        Ok(Found { card, weights, inferred, foreign, held, reference })
    }

    /// The same, for layers whose new maps are there.
    pub fn with_new_maps(&self, new_maps: NewMaps) -> Self {
        Self { new_maps: Some(new_maps), ..self.clone() }
    }

    /// What the tensors imply; none where the command line says what they are.
    fn infer(&self, reader: &Reader) -> Result<Option<Inferred>> {
        match reader.infer() {
            Ok(inferred) => Ok(Some(inferred)),
            Err(_) if self.model.is_some() || self.config.is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The network that the file is `held` to hold, unless the command line says otherwise.
    fn overrule(&self, held: Option<&Config>) -> Result<Config> {
        let mut config = match (&self.model, &self.config, held) {
            (Some(model), _, Some(held)) => between_ends(held, Config::preset(model)?),
            (Some(model), ..) => Config::preset(model)?,
            (_, Some(path), _) => configuration(path)?,
            (.., Some(held)) => held.clone(),
            _ => return Err(Misuse("say which network it is with --model or --config".into()).into()),
        };
        let shape = config.stem.shape();
        config.stem = Stem::of(StemShape {
            stride: self.stem_stride.unwrap_or(shape.stride),
            pool: self.stem_pool.map_or(shape.pool, |Pool(pool)| pool),
            ..shape
        });
        config.head_pool = self.head_pool.unwrap_or(config.head_pool);
        config.final_relu = self.final_relu.unwrap_or(config.final_relu);
        config.validate()?;
        Ok(config)
    }

    /// Loads `path`, or the built-in model of that name, to predict pictures prepared as `preparing` says, and writes
    /// to stderr what the file does not say.
    pub fn load(&self, path: &Path, preparing: &Preparing) -> Result<Model> {
        let (model, reference) = self.load_with(path, preparing)?;
        let network = match reference? {
            Some(reference) => model.network.with_reference(reference),
            None => Ok(model.network),
        };
        let network = network.map_err(|reason| densenet::Error::format(path, reason))?;
        Ok(Model { network: self.at_precision(network, path)?, ..model })
    }

    /// The same for a file, whatever it keeps about the training pictures.
    pub fn load_without_reference(&self, path: &Path, preparing: &Preparing) -> Result<Model> {
        let (model, _) = self.load_with(path, preparing)?;
        Ok(Model { network: self.at_precision(model.network, path)?, ..model })
    }

    /// The network as the file holds it, without what the file keeps about the training pictures, and the latter.
    fn load_with(&self, path: &Path, preparing: &Preparing) -> Result<(Model, densenet::Result<Option<Reference>>)> {
        let Found { card, weights, inferred, foreign, held, reference } = self.read(path)?;
        let before = card.preprocessing.clone();
        let card = preparing.complete(card)?;
        // A network that the command line changes has other features than those in the file's reference.
        let reference = if held.as_ref() == Some(&card.config) { reference } else { Ok(None) };
        if let Some(inferred) = &inferred {
            output::note(brief(path, inferred));
        }
        let said = |preprocessing: &&_| foreign || before.as_ref() != Some(*preprocessing);
        if let Some(preprocessing) = card.preprocessing.as_ref().filter(said) {
            output::note(format_args!("pictures are prepared with {}", preparing::in_words(preprocessing)));
        }
        let network = DenseNet::of_weights(&card.config, weights)?;
        Ok((Model { network, card, path: path.into() }, reference))
    }

    /// The network at the requested precision.
    fn at_precision(&self, network: DenseNet, path: &Path) -> Result<DenseNet> {
        match (self.precision, network.quantization().is_some()) {
            (Some(Precision::Int8), false) => {
                let file = path.display();
                let reason =
                    format!("{file} holds no integers; densenet quantize --weights {file} makes a file that does");
                Err(Misuse(reason).into())
            }
            (Some(Precision::F32), true) => Ok(dequantized(network)),
            (Some(Precision::Bf16), true) => Ok(with_bf16(dequantized(network))),
            (Some(Precision::Bf16), false) => Ok(with_bf16(network)),
            _ => Ok(network),
        }
    }

    /// The same for all of `paths`, whose networks predict together.
    pub fn load_all(&self, paths: &[PathBuf], preparing: &Preparing) -> Result<Networks> {
        Networks::new(paths.iter().map(|path| self.load(path, preparing)).collect::<Result<_>>()?)
    }
}

/// The network in floating point, whose features differ from those in its reference, if it has one.
fn dequantized(network: DenseNet) -> DenseNet {
    if network.reference().is_some() {
        output::note(
            "the reference to training pictures is for int8 and is left out; densenet reference makes another",
        );
    }
    network.dequantized()
}

/// The network with bfloat16 products, where they are faster.
pub fn with_bf16(network: DenseNet) -> DenseNet {
    let network = network.with_math_mode(MathMode::Bf16);
    if network.math_mode() == MathMode::Strict {
        output::note("bf16: this processor is hardly faster at bfloat16 products, or has none; predicting with f32");
    }
    network
}

/// The network of `preset`, with the beginning and end that a file is `held` to have, as its tensors imply.
fn between_ends(held: &Config, preset: Config) -> Config {
    let &Config { in_channels, num_classes, head_pool, .. } = held;
    let input_size = if head_pool == HeadPool::None { held.input_size } else { preset.input_size };
    Config { in_channels, num_classes, head_pool, hidden: held.hidden.clone(), input_size, ..preset }
}

fn configuration(path: &Path) -> Result<Config> {
    let text = text::read(path).with_context(|| path.display().to_string())?;
    let mut value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    // What info --json prints holds it as one of its fields.
    if let Some(config) = value.get_mut("config") {
        value = config.take();
    }
    match serde_json::from_value(value) {
        Ok(config) => Ok(config),
        Err(error) => bail!("{}: not a network configuration: {error}", path.display()),
    }
}

/// What was inferred: a line for what it is, one for what is assumed where the file does not say, and one for each
/// choice.
fn brief(path: &Path, inferred: &Inferred) -> String {
    let taken = inferred.assumptions.iter().filter(|assumption| !assumption.input);
    let taken: Vec<String> = taken.map(|a| format!("{} {} ({})", a.what, a.taken, a.option)).collect();
    let network = model::network(&inferred.config);
    let first = format!("{}: {network}\nnot stated in the file, so assumed: {}", path.display(), taken.join(", "));
    [first].into_iter().chain(inferred.notes.iter().cloned()).collect::<Vec<_>>().join("\n")
}

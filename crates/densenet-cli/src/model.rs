//! Weight files, as the command line names them, and what it says of those that do not say it themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgAction, Args};
use densenet::checkpoint::{Card, Inferred, Reader, Weights};
use densenet::config::{HeadPool, PRESETS, Stem, StemPool, StemShape};
use densenet::data::{self, PREPROCESSINGS, Preprocessing};
use densenet::models;
use densenet::network::DenseNet;
use densenet::{Architecture, Config};

use crate::output::{self, Misuse, counted};
use crate::text;

/// What a weight file of another program does not say.
#[derive(Args)]
pub struct Reading {
    /// The network that the file holds, its input channels and classes aside [default: what the tensors tell]
    #[arg(long, value_name = "NAME", value_parser = preset, conflicts_with = "config")]
    model: Option<String>,
    /// A JSON file of the network's configuration, as info --json prints it [default: what the tensors tell]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The stem's pooling: none, max:K,S,P or average:K,S,P, of KxK pixels, stride S (K where it is left out) and padding P
    /// (0) [default: max:3,2,1 for a 7x7 stem with a batch-norm, else none]
    #[arg(long, value_name = "POOLING", value_parser = stem_pooling)]
    stem_pool: Option<StemPooling>,
    /// What becomes of the last maps: average, max or none [default: average]
    #[arg(long, value_name = "POOLING")]
    head_pool: Option<HeadPool>,
    /// Whether a ReLU follows the last batch-norm [default: yes]
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no, action = ArgAction::Set)]
    final_relu: Option<bool>,
}

/// How a picture becomes the input of a network whose file does not say it, and what its classes are called.
#[derive(Args)]
pub struct Preparing {
    /// Prepare pictures as for imagenet, cifar10, cifar100, fashion-mnist or mnist [default: as the file says]
    #[arg(long, value_parser = PREPROCESSINGS, hide_possible_values = true, value_name = "NAME")]
    preset: Option<String>,
    /// Mean of each channel, on the scale 0 to 1 [default: as the file says]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', requires = "std", allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, on the scale 0 to 1 [default: as the file says]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', requires = "mean")]
    std: Option<Vec<f32>>,
    /// Height and width of the input [default: as the file or the preset says, else the network's usual]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// A text file of the classes' names, one a line [default: as the file says, else the preset's data set]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

/// The name of a network that there is.
pub fn preset(name: &str) -> Result<String, String> {
    Config::preset(name).map(|_| name.into()).map_err(|error| error.to_string())
}

/// Whether `name` is that of a built-in model or a file, which may hold weights.
pub fn has_weights(name: &str) -> bool {
    models::find(name).is_some() || Path::new(name).is_file()
}

/// The configuration of a network that has no weights here.
pub fn untrained(name: &str) -> Result<Config> {
    let path = Path::new(name);
    if path.is_dir() {
        bail!(a_folder(path));
    }
    if path.extension().is_some() || path.components().count() > 1 {
        bail!("{name}: no such file");
    }
    Ok(Config::preset(name)?)
}

/// Opens a built-in model or a weight file.
pub fn open(weights: &Path) -> Result<Reader> {
    let built_in = weights.to_str().and_then(models::find).is_some();
    if !built_in && !weights.exists() {
        bail!("{}: neither a file nor a built-in model; densenet models lists these", weights.display());
    }
    if !built_in && weights.is_dir() {
        bail!(a_folder(weights));
    }
    Ok(models::open(weights)?)
}

/// That `path` is a folder, and which weight file is in it where it is that of a training run.
fn a_folder(path: &Path) -> String {
    let files = ["best.safetensors", "last.safetensors"].map(|name| path.join(name));
    let instead = match files.iter().find(|file| file.is_file()) {
        Some(file) => format!("{} is a weight file in it", file.display()),
        None => "a weight file is needed".into(),
    };
    format!("{}: a folder; {instead}", path.display())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it must be yes or no".into()),
    }
}

/// A stem's pooling, or that it has none.
#[derive(Clone, Copy)]
struct StemPooling(Option<StemPool>);

fn stem_pooling(text: &str) -> Result<StemPooling, String> {
    let pool = match text {
        "none" | "no" => None,
        "yes" => Some(StemPool::IMAGENET),
        _ => Some(text.parse::<StemPool>().map_err(|error| error.to_string())?),
    };
    Ok(StemPooling(pool))
}

/// What a weight file is, by itself or by what the command line says of it.
pub struct Description {
    /// The network.
    pub config: Config,
    /// What the file says of itself.
    pub card: Option<Card>,
    /// What was inferred from a file that does not say what it is.
    pub inferred: Option<Inferred>,
}

/// A network that predicts, and what is known of it.
pub struct Model {
    /// The network with its weights.
    pub network: DenseNet,
    /// What the file and the command line say of it.
    pub card: Card,
    path: PathBuf,
}

impl Model {
    /// How a picture becomes the network's input.
    pub fn preprocessing(&self) -> Result<&Preprocessing> {
        self.card.preprocessing.as_ref().ok_or_else(|| {
            let names = PREPROCESSINGS.join(", ");
            let reason = format!(
                "{} does not say how pictures are prepared for it; say it with --preset (one of {names}), or with \
                 --mean, --std and --size",
                self.path.display()
            );
            Misuse(reason).into()
        })
    }

    /// Names of the classes, or `class N` where nobody has named them.
    pub fn labels(&self) -> Vec<String> {
        (0..self.card.config.num_classes).map(|class| self.card.label(class)).collect()
    }
}

impl Reading {
    /// What the file of `reader` is.
    pub fn describe(&self, reader: &Reader) -> Result<Description> {
        if reader.has_card() {
            let card = reader.card()?;
            let config = self.overrule(Some(&card.config))?;
            return Ok(Description { config, card: Some(card), inferred: None });
        }
        let inferred = match reader.infer() {
            Ok(inferred) => inferred,
            // With what the file holds given, nothing need be inferred.
            Err(_) if self.model.is_some() || self.config.is_some() => {
                return Ok(Description { config: self.overrule(None)?, card: None, inferred: None });
            }
            Err(error) => return Err(error.into()),
        };
        let config = self.overrule(Some(&inferred.config))?;
        Ok(Description { config: config.clone(), card: None, inferred: Some(inferred.with(config)) })
    }

    /// The network that the file is `held` to hold, where the command line does not say otherwise.
    fn overrule(&self, held: Option<&Config>) -> Result<Config> {
        let mut config = match (&self.model, &self.config, held) {
            (Some(model), _, Some(&Config { in_channels, num_classes, .. })) => {
                Config { in_channels, num_classes, ..Config::preset(model)? }
            }
            (Some(model), ..) => Config::preset(model)?,
            (_, Some(path), _) => configuration(path)?,
            (.., Some(held)) => held.clone(),
            _ => return Err(Misuse("say which network it is with --model or --config".into()).into()),
        };
        if let Some(StemPooling(pool)) = self.stem_pool {
            config.stem = Stem::of(StemShape { pool, ..config.stem.shape() });
        }
        config.head_pool = self.head_pool.unwrap_or(config.head_pool);
        config.final_relu = self.final_relu.unwrap_or(config.final_relu);
        config.validate()?;
        Ok(config)
    }

    /// Loads `path`, or the built-in model of that name, to predict pictures prepared as `preparing` says, and writes to
    /// stderr what the file does not.
    pub fn load(&self, path: &Path, preparing: &Preparing) -> Result<Model> {
        let mut reader = open(path)?;
        let Description { config, card, inferred } = self.describe(&reader)?;
        let weights = weights(&mut reader, &Architecture::new(&config)?, path)?;
        let foreign = card.is_none();
        let card = match card {
            Some(card) => Card { config, ..card },
            None => reader.inferred_card(&config)?,
        };
        let card = preparing.complete(card)?;
        if let Some(inferred) = &inferred {
            output::note(brief(path, inferred));
        }
        if let Some(preprocessing) = card.preprocessing.as_ref().filter(|_| foreign || preparing.says_anything()) {
            output::note(format_args!("pictures are prepared with {}", in_words(preprocessing)));
        }
        let network = DenseNet::from_arenas(&card.config, weights.parameters, weights.running)?;
        Ok(Model { network, card, path: path.into() })
    }
}

impl Preparing {
    fn says_anything(&self) -> bool {
        self.preset.is_some() || self.mean.is_some() || self.size.is_some()
    }

    /// The `card` with what the command line says of pictures and classes.
    fn complete(&self, card: Card) -> Result<Card> {
        let preprocessing = self.preprocessing(&card)?;
        let labels = match &self.labels {
            Some(path) => class_names(path, card.config.num_classes)?,
            None if card.labels.is_empty() => self.classes(card.config.num_classes).unwrap_or_default(),
            None => card.labels,
        };
        Ok(Card { preprocessing, labels, ..card })
    }

    /// How pictures are prepared for the network of `card`: as the command line says, else as the card does.
    fn preprocessing(&self, card: &Card) -> Result<Option<Preprocessing>> {
        let config = &card.config;
        let named = self.preset.as_deref().map(Preprocessing::named).transpose()?;
        let named = named.map(|named| named.with_channels(config.in_channels));
        let base = named.or_else(|| card.preprocessing.clone());
        let mut preprocessing = match (base, &self.mean, &self.std) {
            (base, Some(mean), Some(std)) => {
                let base = base.unwrap_or_else(|| usual_framing(config));
                Preprocessing { mean: mean.clone(), std: std.clone(), ..base }
            }
            (Some(base), ..) => base,
            (None, ..) => return Ok(None),
        };
        if let Some(size) = self.size {
            preprocessing = preprocessing.with_size(size);
        }
        preprocessing.validate().map_err(|error| Misuse(error.to_string()))?;
        if preprocessing.channels() != config.in_channels {
            let (given, wanted) = (preprocessing.channels(), config.in_channels);
            return Err(
                Misuse(format!("mean and deviation are of {given} channels; the network takes {wanted}")).into()
            );
        }
        Ok(Some(preprocessing))
    }

    /// Names of the classes of the data set that pictures are prepared as, if there are so many.
    fn classes(&self, count: usize) -> Option<Vec<String>> {
        data::classes(self.preset.as_deref()?).filter(|classes| classes.len() == count)
    }
}

/// The names of `count` classes, one a line of the file `path`.
fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = text::read(path).with_context(|| format!("{}: no text of the classes' names", path.display()))?;
    let names: Vec<String> = text::lines(&text).map(String::from).collect();
    if let Some(line) = names.iter().position(String::is_empty) {
        bail!("{}: line {} is empty; each must name a class", path.display(), line + 1);
    }
    if names.len() != count {
        bail!("{}: {} names of classes, one a line; the network has {count} classes", path.display(), names.len());
    }
    Ok(names)
}

/// Size and crop as is usual for networks of that input, with no normalisation yet.
fn usual_framing(config: &Config) -> Preprocessing {
    let resize = (config.input_size == 224).then_some(256);
    Preprocessing { size: config.input_size, resize, mean: Vec::new(), std: Vec::new() }
}

fn configuration(path: &Path) -> Result<Config> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut value: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    // What info --json prints holds it as one of its fields.
    if let Some(config) = value.get_mut("config") {
        value = config.take();
    }
    match serde_json::from_value(value) {
        Ok(config) => Ok(config),
        Err(error) => bail!("{}: no configuration of a network: {error}", path.display()),
    }
}

/// Reads the weights of `architecture` and warns of values that are not finite.
pub fn weights(reader: &mut Reader, architecture: &Architecture, path: &Path) -> Result<Weights> {
    let weights = reader.weights(architecture)?;
    warn_of_broken(&weights, architecture, path);
    Ok(weights)
}

/// Warns of values that are not finite.
pub fn warn_of_broken(weights: &Weights, architecture: &Architecture, path: &Path) {
    let broken = weights.non_finite(architecture);
    if !broken.is_empty() {
        let error = anyhow!("{}: values that are not finite in {}", path.display(), broken.join(", "));
        output::complain("warning", &error);
    }
}

/// What was inferred: a line for what it is, and one for what is assumed where the file does not tell.
fn brief(path: &Path, inferred: &Inferred) -> String {
    let taken = inferred.assumptions.iter().filter(|assumption| !assumption.input);
    let taken: Vec<String> = taken.map(|a| format!("{} {} ({})", a.what, a.taken, a.option)).collect();
    format!("{}: {}\nnot told by the file, so assumed: {}", path.display(), network(&inferred.config), taken.join(", "))
}

/// The network in words, by its name if it has one: `densenet121, 3 input channels, 1000 classes`.
fn network(config: &Config) -> String {
    let what = name(config).map_or_else(|| structure(config), String::from);
    let (channels, classes) = (config.in_channels, config.num_classes);
    format!("{what}, {}, {}", counted(channels, "input channel"), counted(classes, "class"))
}

/// The preset that a network is, whatever its channels and classes.
pub fn name(config: &Config) -> Option<&'static str> {
    let Config { in_channels, num_classes, drop_rate, input_size, .. } = *config;
    let same = |name: &&str| {
        let preset = Config::preset(name).expect("presets are sound");
        *config == Config { in_channels, num_classes, drop_rate, input_size, ..preset }
    };
    PRESETS.into_iter().find(same)
}

/// The network between input and classes: `a DenseNet with blocks of 6, 12, 24 and 16 layers, growth rate k = 32, ...`.
pub fn structure(config: &Config) -> String {
    let (last, others) = config.block_config.split_last().expect("a network has blocks");
    let others: Vec<String> = others.iter().map(usize::to_string).collect();
    let blocks = match others.is_empty() {
        true => format!("one block of {}", counted(*last, "layer")),
        false => format!("blocks of {} and {last} layers", others.join(", ")),
    };
    let StemShape { kernel, norm, pool, .. } = config.stem.shape();
    let bottleneck = config.bn_size.map_or("no bottlenecks".into(), |size| format!("bottlenecks of {size}k"));
    format!(
        "a DenseNet with {blocks}, growth rate k = {}, {bottleneck}, compression {}, and a {kernel}x{kernel} stem of \
         {} channels{}{}{}",
        config.growth_rate,
        config.compression,
        config.num_init_features,
        if norm { " with batch-norm" } else { "" },
        pool.map(|pool| format!(" and {}", pool.in_words())).unwrap_or_default(),
        head(config),
    )
}

/// What is unusual of the end of a network.
fn head(config: &Config) -> String {
    let pool = match config.head_pool {
        HeadPool::Average => "",
        HeadPool::Max => ", max pooling before the classifier",
        HeadPool::None => ", no pooling before the classifier",
    };
    let widths: Vec<String> = config.hidden.iter().map(usize::to_string).collect();
    let hidden = if widths.is_empty() { String::new() } else { format!(", hidden layers of {}", widths.join(", ")) };
    format!("{pool}{hidden}{}", if config.num_classes == 0 { ", no classifier" } else { "" })
}

/// The preprocessing in words.
pub fn in_words(preprocessing: &Preprocessing) -> String {
    let Preprocessing { size, resize, mean, std, .. } = preprocessing;
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let framing = match resize {
        Some(short) => format!("the short side at {short}, a crop of {size}x{size}"),
        None => format!("a size of {size}x{size}"),
    };
    format!("{framing}, --mean {} --std {}", list(mean), list(std))
}

//! Weight files, as the command line names them, and what it adds where they do not describe themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use densenet::Card;
use densenet::checkpoint::{HUB_WEIGHTS, Reader, Weights};
use densenet::config::{Activation, HeadPool, PRESETS, StemShape};
use densenet::data::{PREPROCESSINGS, Preprocessing};
use densenet::models;
use densenet::network::DenseNet;
use densenet::{Architecture, Config};

use crate::output::{self, Misuse, counted};
use crate::text;

/// The name of a known network.
pub fn preset(name: &str) -> Result<String, String> {
    Config::preset(name).map(|_| name.into()).map_err(|error| error.to_string())
}

/// Whether `name` is that of a built-in model, a file, which may hold weights, or a folder of a model hub.
pub fn has_weights(name: &str) -> bool {
    models::find(name).is_some() || Path::new(name).is_file() || is_of_hub(Path::new(name))
}

/// Whether `path` is a folder in the layout of model hubs.
fn is_of_hub(path: &Path) -> bool {
    HUB_WEIGHTS.iter().any(|name| path.join(name).is_file())
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

/// Opens a built-in model, a weight file or a folder of a model hub; of several networks in a file, the one with the
/// key `entry`.
pub fn open(weights: &Path, entry: Option<&str>) -> Result<Reader> {
    let built_in = weights.to_str().and_then(models::find).is_some();
    if !built_in && !weights.exists() {
        bail!("{}: neither a file nor a built-in model; densenet models lists the built-in ones", weights.display());
    }
    if !built_in && weights.is_dir() && !is_of_hub(weights) {
        bail!(a_folder(weights));
    }
    match built_in {
        true => Ok(models::open(weights)?),
        false => Ok(Reader::open_entry(weights, entry)?),
    }
}

/// Says that `path` is a folder, and names the weight file in it if it is a training run's.
fn a_folder(path: &Path) -> String {
    let files = ["best.safetensors", "last.safetensors"].map(|name| path.join(name));
    let instead = match files.iter().find(|file| file.is_file()) {
        Some(file) => format!("{} is a weight file in it", file.display()),
        None => format!("a weight file is needed, or a folder with {}", HUB_WEIGHTS.join(", ")),
    };
    format!("{}: a folder; {instead}", path.display())
}

/// A network that predicts, and what is known about it.
pub struct Model {
    /// The network with its weights.
    pub network: DenseNet,
    /// What the file and the command line say about it.
    pub card: Card,
    /// Its file.
    pub path: PathBuf,
}

impl Model {
    /// How a picture becomes the network's input.
    pub fn preprocessing(&self) -> Result<&Preprocessing> {
        self.card.preprocessing.as_ref().ok_or_else(|| {
            let names = PREPROCESSINGS.join(", ");
            let reason = format!(
                "{} does not say how pictures are prepared for it; set it with --preset (one of {names}), or with \
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

/// The names of `count` classes, one per line of the file `path`.
pub fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = text::read(path).with_context(|| format!("{}: not a text file of class names", path.display()))?;
    let names: Vec<String> = text::lines(&text).map(String::from).collect();
    if let Some(line) = names.iter().position(String::is_empty) {
        bail!("{}: line {} is empty; each must name a class", path.display(), line + 1);
    }
    if names.len() != count {
        bail!("{}: {} class names, one per line; the network has {count} classes", path.display(), names.len());
    }
    Ok(names)
}

/// Warns of values that are not finite.
pub fn warn_of_broken(weights: &Weights, architecture: &Architecture, path: &Path) {
    let broken = weights.non_finite(architecture);
    if !broken.is_empty() {
        let error = anyhow!("{}: values that are not finite in {}", path.display(), broken.join(", "));
        output::complain("warning", &error);
    }
}

/// The network in words, by its name if it has one: `densenet121, 3 input channels, 1000 classes`.
pub fn network(config: &Config) -> String {
    let what = name(config).map_or_else(|| structure(config), String::from);
    let (channels, classes) = (config.in_channels, config.num_classes);
    format!("{what}, {}, {}", counted(channels, "input channel"), counted(classes, "class"))
}

/// The preset that matches a network, whatever its channels and classes.
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
        "a {}DenseNet with {blocks}, growth rate k = {}, {bottleneck}, compression {}, and a {kernel}x{kernel} stem of \
         {} channels{}{}{}",
        if config.activation == Activation::Post { "post-activation " } else { "" },
        config.growth_rate,
        config.compression,
        config.num_init_features,
        if norm { " with batch-norm" } else { "" },
        pool.map(|pool| format!(" and {}", pool.in_words())).unwrap_or_default(),
        head(config),
    )
}

/// What is unusual about the end of a network.
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

//! What a recipe says, as options of the command line.

use std::path::PathBuf;

use clap::Args;
use densenet::network::Memory;
use densenet::optimiser::Kind;
use densenet::schedule::Schedule;
use densenet::training::{Balance, Freeze};
use serde::Serialize;

use crate::augmenting::Augmenting;
use crate::decoding::Decoding;
use crate::model;
use crate::share::share;
use crate::table_options::TableArgs;
use crate::word::word;

/// The highest seed: the highest number of TOML.
pub const HIGHEST_SEED: u64 = i64::MAX as u64;

/// Options that override the recipe; serialised, they are a recipe that holds only what was given.
#[derive(Args, Serialize)]
pub struct RecipeOptions {
    /// The network (densenet-L-k and densenet-bc-L-k may have any depth); it gets the data's input channels and classes
    /// [default: that of --init]
    #[arg(long, value_parser = model::preset)]
    pub model: Option<String>,
    /// Start from the weights of this file or built-in model; its input channels and classes may differ from the data's
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// fashion-mnist, mnist, cifar10, cifar100, a folder of classes, IDX files or CIFAR binaries, or a table
    /// (.csv, .csv.gz, .jsonl)
    #[arg(long, value_name = "D")]
    pub data: Option<String>,
    /// Height and width that pictures are resized to [default: the network's own]
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Dropout after each convolution of the dense layers [default: 0]
    #[arg(long, value_name = "P")]
    pub drop_rate: Option<f64>,
    /// Seed of the initial weights and everything random [default: 0]
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=HIGHEST_SEED))]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub training: TrainingOptions,
    #[command(flatten)]
    pub decoding: Decoding,
    #[command(flatten)]
    pub table: TableArgs,
}

/// [`densenet::training::Settings`] as options.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Training")]
pub struct TrainingOptions {
    /// Number of epochs, that is, times that every picture is seen [default: 10]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Pictures per step [default: 64]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// sgd (with Nesterov momentum) or adamw (Adam with decoupled weight decay) [default: sgd]
    #[arg(long, value_parser = word::<Kind>, value_name = "WORD")]
    pub optimizer: Option<Kind>,
    /// The highest learning rate [default: 0.1; 0.001 with adamw]
    #[arg(long, value_name = "X")]
    pub lr: Option<f64>,
    /// constant, steps (a tenth at 50 % and 75 %), thirds (a tenth at each), cosine (with warm-up) over all epochs, or
    /// snapshot (a cosine per cycle, each of which leaves a network) [default: steps]
    #[arg(long, value_parser = word::<Schedule>, value_name = "WORD")]
    pub schedule: Option<Schedule>,
    /// Cycles of --schedule snapshot [default: 5]
    #[arg(long, value_name = "N")]
    pub cycles: Option<usize>,
    /// Nesterov momentum for sgd [default: 0.9]
    #[arg(long, value_name = "X")]
    pub momentum: Option<f64>,
    /// Weight decay on all parameters [default: 0.0001; 0.01 with adamw]
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// Clip gradients whose norm over all parameters exceeds this
    #[arg(long, value_name = "X")]
    pub clip_norm: Option<f64>,
    /// Keep an exponential moving average of the weights with this decay; the average is evaluated and saved
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
    /// Label smoothing: share of the target that is spread over all classes [default: 0]
    #[arg(long, value_name = "X")]
    pub label_smoothing: Option<f64>,
    /// Share of the training pictures to hold out for choosing the best epoch, if the data have no validation part;
    /// with 0 the test part chooses, which flatters its figure [default: 0.1]
    #[arg(long, value_name = "X|P%", value_parser = share)]
    pub val_fraction: Option<f64>,
    /// none, weights (rare classes or labels count more) or sampling (rare classes are drawn more often) [default: none]
    #[arg(long, value_parser = word::<Balance>, value_name = "WORD")]
    pub balance: Option<Balance>,
    /// What to freeze of everything before the classifier: none, weights, or body (the batch-norms' statistics, too;
    /// far faster) [default: none]
    #[arg(long, value_parser = word::<Freeze>, value_name = "WORD")]
    pub freeze: Option<Freeze>,
    /// With --freeze weights, unfreeze one more block after every N epochs, the last block first
    #[arg(long, value_name = "N")]
    pub unfreeze_every: Option<usize>,
    /// Learning rate of everything before the classifier, as a share of the classifier's [default: 1]
    #[arg(long, value_name = "X")]
    pub body_lr: Option<f64>,
    /// Take the pictures in the data's own order
    #[arg(long = "no-shuffle")]
    #[serde(rename = "shuffle", serialize_with = "negated", skip_serializing_if = "is_false")]
    pub no_shuffle: bool,
    /// Stop after that many epochs without a better one
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// Share of the training pictures that may turn out to be unreadable before the run stops [default: 0.01]
    #[arg(long, value_name = "X|P%", value_parser = share)]
    pub max_bad: Option<f64>,
    /// Stop after that many steps
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Split a step's pictures into N micro-batches, one after the other, to save memory; batch-norm sees each on its
    /// own
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// normal, or low: bottlenecks that would take more memory than gradients do are recomputed in the backward pass
    #[arg(long, value_parser = word::<Memory>, value_name = "WORD")]
    pub memory: Option<Memory>,
    #[command(flatten)]
    pub augment: Augmenting,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn negated<S: serde::Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!value)
}

//! `densenet eval`.

mod describe;
mod gallery;
mod parts;
mod predicting;
mod unlike;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use densenet::data::{Part, Split, Views};
use densenet::evaluation::{Evaluation, Intervals};
use serde::Serialize;

use self::describe::describe;
pub use self::describe::headline;
use self::gallery::gallery;
pub use self::predicting::{labelled, predict};
use self::unlike::Unlike;
use crate::data_options::DataOptions;
use crate::networks::Networks;
use crate::output::{self, Misuse};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;
use crate::word::word;

/// Evaluates weights on a data set
#[derive(Args)]
#[command(
    after_help = "Example: densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist\n\
    or:      densenet eval --weights a.safetensors,b.safetensors --data photos --tta flip --json\n\
    or:      densenet eval --weights cifar10 --data cifar10 --unlike fashion-mnist,photos"
)]
pub struct Eval {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model; with several, their
    /// probabilities are averaged
    #[arg(long, value_name = "W[,W...]", value_delimiter = ',', required = true)]
    weights: Vec<PathBuf>,
    /// fashion-mnist, mnist, cifar10, cifar100, a folder of classes, IDX files or CIFAR binaries, or a table
    /// (.csv, .csv.gz, .jsonl)
    #[arg(long, value_name = "D")]
    data: String,
    /// The part of the data to score: train, val or test [default: the test part of the data, else of the weights' run;
    /// all of a folder without parts]
    #[arg(long, value_name = "PART", value_parser = word::<Part>)]
    part: Option<Part>,
    /// Other views of each picture to average the probabilities over: mirrored, the four corners of the resized
    /// picture, or both
    #[arg(long, value_name = "flip,crops", value_delimiter = ',', hide_possible_values = true)]
    tta: Vec<View>,
    /// Other data sets or folders of pictures: report how well their pictures are told apart from the data's, by the
    /// distance to the training pictures and by the network's outputs
    #[arg(long, value_name = "D[,D...]", value_delimiter = ',')]
    unlike: Vec<String>,
    /// Inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Draw the first N pictures with the network's predictions
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "json")]
    show: usize,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_options: DataOptions,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

/// Views of a picture besides the plain one.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum View {
    Flip,
    Crops,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// The names of the classes, in the order of all figures per class.
    labels: &'a [String],
    /// How well pictures of other data sets are told apart from these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unlike: Vec<Unlike>,
}

impl Eval {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let networks = self.reading.load_all(&self.weights, &self.preparing)?;
        self.views().validate(networks.preprocessing()?).map_err(|error| Misuse(format!("--tta crops: {error}")))?;
        let split = labelled(&networks, &self.data, self.pictures(&networks)?)?;
        let unlike = self.unlike(&networks, &split)?;
        let labels = split.classes();
        let predictions = predict(&networks, &split, self.views(), self.batch as usize)?;
        let evaluation = Evaluation { intervals: Some(Intervals::new(&predictions)), ..Evaluation::new(&predictions) };
        evaluation.unreadable.iter().for_each(|picture| output::complain("error", &anyhow!("{picture}")));
        if self.json {
            output::print_json(&Told { evaluation: &evaluation, labels, unlike })?;
        } else {
            output::print(&describe(&evaluation, labels))?;
            output::print(&unlike::describe(&unlike, &self.data))?;
            output::print(&gallery(&predictions, labels, &split, self.show)?)?;
        }
        output::note_turned(split.turned(), networks.preprocessing()?);
        output::count_unreadable(evaluation.unreadable.len(), split.len());
        Ok(if evaluation.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// How well pictures of other data sets are told apart from those of `split`.
    fn unlike(&self, networks: &Networks, split: &Split) -> Result<Vec<Unlike>> {
        match networks.only() {
            _ if self.unlike.is_empty() => Ok(Vec::new()),
            Some(model) => unlike::unlike(model, split, &self.unlike, &self.data_options.data_dir),
            None => {
                Err(Misuse("several networks have no distance in common; --unlike takes one weight file".into()).into())
            }
        }
    }

    fn views(&self) -> Views {
        Views { flip: self.tta.contains(&View::Flip), crops: self.tta.contains(&View::Crops) }
    }
}

//! `densenet reference`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use densenet::novelty::Reference as Kept;
use serde_json::json;

use crate::data_options::DataOptions;
use crate::model::Model;
use crate::output::{self, counted};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::referencing;
use crate::threads::Threads;

/// Adds a reference to the training pictures to weights, so that pictures unlike them are marked
///
/// Training does so by itself. This command is for weights of other programs or earlier versions, and for int8 weights.
/// The file that is written is read by every command that reads weights. From at most 10,000 training pictures it keeps
/// the mean of each class, their covariance and some embeddings; from at most 10,000 other pictures, the distances that
/// 99 % of them stay within.
#[derive(Args)]
#[command(
    after_help = "Example: densenet reference --weights densenet121.pth --preset imagenet --data photos --out marked.safetensors\n\
    then:    densenet predict --weights marked.safetensors photo.jpg"
)]
pub struct Reference {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// What the weights were trained on: fashion-mnist, mnist, cifar10, cifar100, a folder of classes, IDX files or
    /// CIFAR binaries, or a table (.csv, .csv.gz, .jsonl); its validation part, or else its test part, sets which
    /// distances still count as near
    #[arg(long, value_name = "D")]
    data: String,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    data_options: DataOptions,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

impl Reference {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let Model { network, card, .. } = self.reading.load_without_reference(&self.weights, &self.preparing)?;
        output::check_place(&self.out)?;
        let data = self.data_options.open(&self.data)?;
        let found = referencing::reference(&network, &card, &data, || false)?.context("nobody ends it")?;
        let network = network.with_reference(found).map_err(anyhow::Error::msg)?;
        network.save(&card, &self.out)?;
        let kept = network.reference().context("it was given one")?;
        if self.json {
            let object = json!({ "out": self.out, "origin": kept.origin(), "reach": kept.reach() });
            output::print_json(&object)?;
        } else {
            output::note(format_args!("wrote {}: {}", self.out.display(), describe(kept)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a reference is made from.
fn describe(kept: &Kept) -> String {
    let (origin, reach) = (kept.origin(), kept.reach());
    format!(
        "a reference to {} of {}; 99 % of {} are within {:.3} of the nearest neighbour and within {:.1} deviations of a class",
        counted(origin.pictures, "picture"),
        origin.data,
        counted(origin.held_out, "other picture"),
        reach.neighbour,
        reach.mahalanobis
    )
}

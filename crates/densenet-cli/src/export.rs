//! `densenet export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use densenet::Card;
use densenet::{onnx, timm, torchvision};

use crate::model::Model;
use crate::output::{self, Misuse};
use crate::preparing::Preparing;
use crate::reading::Reading;

/// Writes weights for other programs
///
/// ONNX models take "images" (N, C, H, W), normalised as in training, and return "logits" (N, classes); their metadata
/// hold the labels, the preprocessing and the rest of the weights' card. int8 weights become a QDQ graph.
#[derive(Args)]
#[command(after_help = "Example: densenet export --weights best.safetensors --fold --out model.onnx\n\
    or:      densenet export --weights densenet121.pth --preset imagenet --out densenet121.onnx")]
pub struct Export {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model; with several, an ONNX
    /// model averages their probabilities
    #[arg(long, value_name = "W[,W...]", value_delimiter = ',', required = true)]
    weights: Vec<PathBuf>,
    /// The file to write, or the folder for timm
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to write [default: by the suffix of the file's name, where that is enough]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// ONNX: fold batch-norms into the convolutions before them where that is exact
    #[arg(long)]
    fold: bool,
    /// ONNX: leave the pictures' height and width dynamic
    #[arg(long)]
    dynamic_size: bool,
    /// Licence of the weights, to be put into the file
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Safetensors for load_state_dict of torchvision's DenseNet, with num_batches_tracked
    Torchvision,
    /// ONNX, opset 17
    Onnx,
    /// A folder with model.safetensors and config.json, as used by timm and model hubs
    Timm,
    /// Safetensors as written by densenet train
    Densenet,
}

impl Export {
    pub fn run(self) -> Result<ExitCode> {
        let format = self.format()?;
        let options = onnx::Options { fold: self.fold, dynamic_size: self.dynamic_size };
        let [weights] = &self.weights[..] else { return self.average(format, options) };
        let Model { mut card, network, .. } = self.reading.load(weights, &self.preparing)?;
        card.licence = self.licence.or(card.licence);
        let contents = network.contents(&card);
        match format {
            Format::Torchvision => {
                warn_beyond(&torchvision::beyond(&card.config));
                torchvision::save(&contents, &self.out)?;
            }
            Format::Onnx => onnx::save(&contents, options, &self.out)?,
            Format::Timm => timm::save(&contents, &self.out)?,
            Format::Densenet => contents.save(&self.out)?,
        }
        output::note(format_args!("wrote {}", self.out.display()));
        Ok(ExitCode::SUCCESS)
    }

    /// Writes several networks as one.
    fn average(&self, format: Format, options: onnx::Options) -> Result<ExitCode> {
        if format != Format::Onnx {
            return Err(Misuse("several networks become one file only with --format onnx".into()).into());
        }
        let networks = self.reading.load_all(&self.weights, &self.preparing)?;
        let (first, licence) = (networks.card(), self.licence.clone());
        let output = Some(first.output().plain());
        let card = Card { output, licence: licence.or(first.licence.clone()), ..first.clone() };
        onnx::save_average(&card, &networks.contents(), options, &self.out)?;
        output::note(format_args!("wrote {}: {} networks", self.out.display(), self.weights.len()));
        Ok(ExitCode::SUCCESS)
    }

    /// What to write, if the options agree.
    fn format(&self) -> Result<Format, Misuse> {
        let format = self.format.or_else(|| implied(&self.out)).ok_or_else(|| {
            let reason = "its name does not determine the format; use --format torchvision, timm, onnx or densenet";
            Misuse(format!("{}: {reason}", self.out.display()))
        })?;
        for (name, given) in [("--fold", self.fold), ("--dynamic-size", self.dynamic_size)] {
            if given && format != Format::Onnx {
                return Err(Misuse(format!("{name} is only for --format onnx")));
            }
        }
        Ok(format)
    }
}

/// The format that a name's ending stands for; `.safetensors` stands for two.
fn implied(path: &Path) -> Option<Format> {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")).then_some(Format::Onnx)
}

fn warn_beyond(parts: &[String]) {
    if !parts.is_empty() {
        let parts = parts.join(", ");
        output::note(format_args!(
            "torchvision's DenseNet has no such network ({parts}); the file loads into a module with the same names"
        ));
    }
}

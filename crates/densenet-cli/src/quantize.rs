//! `densenet quantize`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use densenet::data::{Preprocessing, Split};
use densenet::network::{Calibrator, DenseNet};
use densenet::quantization::Calibration;
use serde::Serialize;

use crate::data_options::DataOptions;
use crate::model::Model;
use crate::output::{self, Misuse, counted};
use crate::predict::batch::progress;
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// Pictures that go through the network at a time.
const BATCH: usize = 32;

/// The note where nothing is known about the pictures.
const UNKNOWN: &str = "the weights do not say how pictures are prepared for them; inputs are assumed to be normalised, \
    and values outside -4 to 4 are clipped. Set it with --preset, or with --mean, --std and --size";

/// Quantizes weights to int8, for inference
///
/// The file that is written is a little more than a third of the size and is read by every command that reads weights.
/// Scales come from calibration on training pictures, or without any from the batch-norms.
#[derive(Args)]
#[command(after_help = "Example: densenet quantize --weights best.safetensors --data photos --out int8.safetensors\n\
    or:      densenet quantize --weights densenet121.pth --preset imagenet --out densenet121-int8.safetensors")]
pub struct Quantize {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// fashion-mnist, mnist, cifar10, cifar100, a folder of classes, IDX files or CIFAR binaries, or a table (.csv,
    /// .csv.gz, .jsonl), whose training pictures are used for calibration [default: none; scales come from the
    /// batch-norms]
    #[arg(long, value_name = "D")]
    data: Option<String>,
    /// Number of calibration pictures, spread over the whole training part
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pictures: u32,
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

/// What `--json` prints.
#[derive(Serialize)]
struct Told {
    /// The file.
    out: PathBuf,
    /// Its size.
    bytes: u64,
    /// What the weights would take in single precision.
    f32_bytes: u64,
    /// Calibration pictures; 0 where the scales come from the batch-norms.
    pictures: usize,
}

impl Quantize {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let model = self.reading.load(&self.weights, &self.preparing)?;
        if model.network.quantization().is_some() {
            bail!(Misuse(format!("{}: its weights are already integers", self.weights.display())));
        }
        if model.network.reference().is_some() {
            output::note(
                "the reference to training pictures is for float32 and is left out; densenet reference makes another",
            );
        }
        output::check_place(&self.out)?;
        let (calibration, pictures) = match &self.data {
            Some(data) => self.measured(&model, data)?,
            None => (model.network.calibration_of_norms(), 0),
        };
        let calibration = match &model.card.preprocessing {
            Some(preprocessing) => calibration.of_prepared(preprocessing),
            None => {
                output::note(UNKNOWN);
                calibration
            }
        };
        let network = model.network.quantize(&calibration)?;
        network.save(&model.card, &self.out)?;
        let values = network.parameters().len() + network.running().len();
        let bytes = std::fs::metadata(&self.out)?.len();
        let told = Told { out: self.out, bytes, f32_bytes: (size_of::<f32>() * values) as u64, pictures };
        if self.json {
            output::print_json(&told)?;
        } else {
            output::note(told.describe());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Calibrates on some of the training pictures of `data`, and returns how many these were.
    fn measured(&self, model: &Model, data: &str) -> Result<(Calibration, usize)> {
        let preprocessing = model.preprocessing()?;
        let split = self.data_options.open(data)?.train;
        let pictures = split.spread(self.pictures as usize);
        let (calibration, seen) = see(&model.network, &split, preprocessing, &pictures)?;
        if seen == 0 {
            bail!("{data}: none of its training pictures can be read");
        }
        output::count_unreadable(pictures.len() - seen, pictures.len());
        Ok((calibration, seen))
    }
}

/// Calibrates on those of the `pictures` of `split` that can be read, and returns how many these are.
fn see(
    network: &DenseNet,
    split: &Split,
    preprocessing: &Preprocessing,
    pictures: &[usize],
) -> Result<(Calibration, usize)> {
    let (mut calibrator, mut seen) = (Calibrator::new(network)?, 0);
    let bar = progress(pictures.len(), BATCH);
    split.each_batch(pictures, BATCH, preprocessing, |read, images| {
        calibrator.see(images.view())?;
        seen += read.len();
        bar.inc(read.len() as u64);
        Ok(ControlFlow::Continue(()))
    })?;
    bar.finish_and_clear();
    Ok((calibrator.finish(), seen))
}

impl Told {
    fn describe(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let from = match self.pictures {
            0 => "the batch-norms".into(),
            pictures => counted(pictures, "picture"),
        };
        let (out, bytes, f32_bytes) = (self.out.display(), mib(self.bytes), mib(self.f32_bytes));
        format!("wrote {out}: {bytes:.2} MiB instead of {f32_bytes:.2} MiB in f32, with scales from {from}")
    }
}

//! `densenet predict`.

pub mod batch;
pub mod inputs;
pub mod novelty;
mod prediction;
mod predictor;
mod results;
mod table;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::data::{Picture, Preprocessing, Unreadable};
use densenet::models::MODELS;
use densenet::prefetch;

use self::batch::{Batch, progress};
use self::inputs::{Array, Input, Shard, inputs};
use self::novelty::Novelty;
use self::prediction::Prediction;
use self::predictor::Predictor;
use self::results::{Destination, Results};
use self::table::{Format, Table};
use crate::max_pixels::MaxPixels;
use crate::output;
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// Says what pictures show
#[derive(Args)]
#[command(
    after_help = "Example: densenet predict --weights runs/seed-fashion-mnist/best.safetensors shirt.png --top 3\n\
    or:      densenet predict photo.png\n\
    or:      densenet predict --weights densenet121.pth --preset imagenet photo.jpg\n\
    or:      densenet predict --weights w.safetensors photos --out photos.1.csv --shard 1/8 --resume"
)]
pub struct Predict {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model; with several, their
    /// probabilities are averaged [default: the first that densenet models lists]
    #[arg(long, value_name = "W[,W...]", value_delimiter = ',')]
    weights: Vec<PathBuf>,
    /// Pictures, folders of pictures, or .npy files of N,C,H,W float32, already normalised
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Number of most likely classes to show
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Write the predictions to this file instead of stdout as they are made, one row or line each
    #[arg(long, value_name = "F.csv|F.jsonl")]
    out: Option<PathBuf>,
    /// Resume the file of --out, if it exists: what is in it is not predicted again
    #[arg(long, requires = "out", conflicts_with = "logits")]
    resume: bool,
    /// Predict only the I-th of N parts of the inputs, which are divided by hashes of their paths
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// Write the logits as a float32 array (N, classes), in the order of the inputs; NaN for inputs that cannot be read
    #[arg(long, value_name = "OUT.npy")]
    logits: Option<PathBuf>,
    /// Write to this folder, for each input, the class activation map of its most likely class as a float32 .npy (H,
    /// W): what each place adds to the logit
    #[arg(long, value_name = "DIR")]
    map: Option<PathBuf>,
    /// Inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    max_pixels: MaxPixels,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

impl Predict {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        self.out.as_deref().map(Format::of).transpose()?;
        let weights = if self.weights.is_empty() { vec![default_weights()] } else { self.weights.clone() };
        let networks = self.reading.load_all(&weights, &self.preparing)?;
        let predictor = Predictor::new(&networks, self.map.as_deref())?;
        let (labels, meaning) = (networks.labels(), predictor.output());
        let top = (self.top as usize).min(labels.len());
        let mut results = Results::new(&labels, &meaning, top, self.destination(&labels, &predictor, top)?);
        let inputs = inputs(&self.inputs, self.shard, networks.first(), |input| results.leave_out(input));
        let count = inputs.iter().map(Input::count).sum();
        let mut results = results.with_logits(self.logits.as_deref(), count)?;
        let mut turned = 0;
        for input in inputs {
            match input {
                Input::Array { path, .. } => {
                    self.predict_array(Array::open(&path, networks.first())?, &path, &predictor, &mut results)?;
                }
                Input::Pictures(files) => {
                    turned += self.predict_pictures(&files, networks.preprocessing()?, &predictor, &mut results)?;
                }
            }
        }
        if turned > 0 {
            output::note_turned(turned, networks.preprocessing()?);
        }
        Ok(if results.finish()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn destination(&self, labels: &[String], predictor: &Predictor<'_>, top: usize) -> Result<Destination> {
        let mut columns = Prediction::columns(labels, &predictor.output(), top);
        if predictor.tells_distances() {
            columns.extend(Novelty::COLUMNS.map(String::from));
        }
        Ok(match &self.out {
            Some(path) => Destination::Table { table: Table::open(path, &columns, self.resume)?, json: self.json },
            None if self.json => Destination::Object,
            None => Destination::Lines,
        })
    }

    /// Reads, decodes and resizes a batch while the one before it is in the network; returns how many pictures are not
    /// stored upright.
    fn predict_pictures(
        &self,
        files: &[PathBuf],
        preprocessing: &Preprocessing,
        predictor: &Predictor<'_>,
        results: &mut Results<'_>,
    ) -> Result<usize> {
        let batch = usize::from(self.batch);
        let left: Vec<&PathBuf> = files.iter().filter(|file| !results.holds(&file.display().to_string())).collect();
        let (bar, mut turned) = (progress(left.len(), batch), 0);
        let open = |file: &&PathBuf| Picture::open_within(file, self.max_pixels.get());
        let prepare = |files| Batch::read(files, preprocessing, open);
        let predict = |mut batch: Batch<'_, &PathBuf>| {
            let logits = predictor.logits(batch.images.view())?;
            turned += batch.turned;
            bar.suspend(|| {
                for (place, file) in batch.items.iter().enumerate() {
                    let name = file.display().to_string();
                    match batch.failures.remove(&place) {
                        Some(error) => results.fail(Unreadable::new(name, &error))?,
                        None => results.add(&name, logits.at(place))?,
                    }
                }
                results.flush()
            })?;
            bar.inc(batch.items.len() as u64);
            anyhow::Ok(ControlFlow::<()>::Continue(()))
        };
        prefetch(left.chunks(batch), prepare, predict)?;
        bar.finish_and_clear();
        Ok(turned)
    }

    fn predict_array(
        &self,
        array: Array,
        path: &Path,
        predictor: &Predictor<'_>,
        results: &mut Results<'_>,
    ) -> Result<()> {
        let (name, mut start) = (path.display(), 0);
        for images in array.batches(path, usize::from(self.batch))? {
            let (images, first) = (images?, start);
            let count = images.dim().0;
            start += count;
            let names = (0..count).map(|place| format!("{name}[{}]", first + place)).enumerate();
            let left: Vec<(usize, String)> = names.filter(|(_, name)| !results.holds(name)).collect();
            if left.is_empty() {
                continue;
            }
            let logits = predictor.logits(images.view())?;
            left.iter().try_for_each(|(place, name)| results.add(name, logits.at(*place)))?;
            results.flush()?;
        }
        Ok(())
    }
}

/// The first built-in model, which is named in a note.
fn default_weights() -> PathBuf {
    let name = MODELS[0].name;
    output::note(format_args!("using the built-in model {name}; --weights selects another"));
    name.into()
}

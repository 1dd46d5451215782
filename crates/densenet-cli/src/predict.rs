//! `densenet predict`.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use densenet::data::{Picture, SUFFIXES, has_picture_suffix};
use densenet::evaluation::{log_softmax, ranking};
use densenet::files::write_whole;
use densenet::models::MODELS;
use densenet::network::DenseNet;
use densenet::prefetch;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array4, ArrayView1};
use npyz::{NpyFile, WriterBuilder};
use serde_json::{Value, json};

use crate::model::{Model, Preparing, Reading};
use crate::output;
use crate::threads::Threads;

/// Says what pictures show
#[derive(Args)]
#[command(
    after_help = "Example: densenet predict --weights runs/seed-fashion-mnist/best.safetensors shirt.png --top 3\n\
    or:      densenet predict photo.png\n\
    or:      densenet predict --weights densenet121.pth --preset imagenet photo.jpg"
)]
pub struct Predict {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model [default: the first of
    /// densenet models]
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
    /// Pictures, folders of pictures, or .npy files of N,C,H,W float32, normalised already
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The likeliest classes to name
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Write the network's raw outputs, N by classes of float32, in the order of the inputs
    #[arg(long, value_name = "OUT.npy")]
    logits: Option<PathBuf>,
    /// Inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Predict {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let weights = self.weights.clone().unwrap_or_else(default_weights);
        let model = self.reading.load(&weights, &self.preparing)?;
        let labels = model.labels();
        let (top, json, batch) = (self.top as usize, self.json, usize::from(self.batch));
        let mut results = Results { top, json, labels: &labels, predictions: vec![], logits: vec![] };
        for input in inputs(&self.inputs)? {
            match input {
                Input::Array(path) => predict_array(&path, &model.network, batch, &mut results)?,
                Input::Pictures(files) => predict_pictures(&files, &model, batch, &mut results)?,
            }
        }
        if let Some(path) = &self.logits {
            write_logits(path, &results.logits, labels.len())?;
        }
        if self.json {
            output::print_json(&json!({ "predictions": results.predictions }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The first built-in model, which is announced.
fn default_weights() -> PathBuf {
    let name = MODELS[0].name;
    output::note(format_args!("with the built-in model {name}; --weights takes another"));
    name.into()
}

enum Input {
    Pictures(Vec<PathBuf>),
    Array(PathBuf),
}

/// The inputs in their order, with pictures that follow each other together.
fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
            inputs.push(Input::Array(path.clone()));
            continue;
        }
        let mut files = if path.is_dir() { pictures_in(path)? } else { vec![path.clone()] };
        match inputs.last_mut() {
            Some(Input::Pictures(before)) => before.append(&mut files),
            _ => inputs.push(Input::Pictures(files)),
        }
    }
    Ok(inputs)
}

/// The pictures of a folder and the folders in it, by name.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry.with_context(|| folder.display().to_string())?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if has_picture_suffix(&path) {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        bail!("{}: no pictures in it; files ending in {} are read", folder.display(), SUFFIXES.join(", "));
    }
    files.sort();
    Ok(files)
}

/// Reads, decodes and resizes a batch while the one before it is in the network.
fn predict_pictures<'f>(files: &'f [PathBuf], model: &Model, batch: usize, results: &mut Results<'_>) -> Result<()> {
    let preprocessing = model.preprocessing()?;
    let prepare = |files: &'f [PathBuf]| {
        let inputs = preprocessing.batch_of(files, |file, out| {
            preprocessing.apply(&Picture::open(file)?, out).with_context(|| file.display().to_string())
        });
        Ok((files, inputs?))
    };
    let bar = progress(files.len(), batch);
    let predict = |(files, images): (&[PathBuf], Array4<f32>)| {
        let logits = model.network.logits(images.view())?;
        bar.suspend(|| {
            let mut predicted = files.iter().zip(logits.rows());
            predicted.try_for_each(|(file, logits)| results.add(&file.display().to_string(), logits))
        })?;
        bar.inc(files.len() as u64);
        anyhow::Ok(ControlFlow::<()>::Continue(()))
    };
    prefetch(files.chunks(batch), prepare, predict)?;
    bar.finish_and_clear();
    Ok(())
}

/// How far it is, of more pictures than one batch, where stderr is a terminal.
fn progress(pictures: usize, batch: usize) -> ProgressBar {
    if pictures <= batch {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left");
    ProgressBar::new(pictures as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn predict_array(path: &Path, network: &DenseNet, batch: usize, results: &mut Results<'_>) -> Result<()> {
    let name = path.display();
    let file = File::open(path).with_context(|| name.to_string())?;
    let file = NpyFile::new(BufReader::new(file)).with_context(|| format!("{name}: not a sound .npy file"))?;
    let channels = network.architecture().config.in_channels as u64;
    let &[n, c, h, w] = file.shape() else {
        bail!("{name}: its shape is {:?}; N,C,H,W is needed", file.shape());
    };
    if c != channels || n == 0 || file.order() != npyz::Order::C {
        bail!(
            "{name}: its shape is {:?}; this network needs N,{channels},H,W with N from 1 up, in C order",
            file.shape()
        );
    }
    let (height, width) = (usize::try_from(h)?, usize::try_from(w)?);
    network.architecture().block_sizes(height, width).with_context(|| name.to_string())?;
    let elements = channels as usize * height * width;
    let mut values = file.data::<f32>().with_context(|| format!("{name}: its elements must be float32"))?;
    for start in (0..n as usize).step_by(batch) {
        let count = batch.min(n as usize - start);
        let batch_values: Vec<f32> = values
            .by_ref()
            .take(count * elements)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{name}: cut off"))?;
        let images = Array4::from_shape_vec((count, channels as usize, height, width), batch_values)?;
        let logits = network.logits(images.view())?;
        for (i, logits) in logits.rows().into_iter().enumerate() {
            results.add(&format!("{name}[{}]", start + i), logits)?;
        }
    }
    Ok(())
}

/// What the network has predicted so far.
struct Results<'a> {
    top: usize,
    json: bool,
    labels: &'a [String],
    predictions: Vec<Value>,
    logits: Vec<f32>,
}

impl Results<'_> {
    fn add(&mut self, input: &str, logits: ArrayView1<'_, f32>) -> Result<()> {
        if logits.iter().any(|logit| !logit.is_finite()) {
            bail!("{input}: what the network makes of it is not finite, so it or the weights hold values that are not");
        }
        let probabilities: Vec<f64> = log_softmax(logits).into_iter().map(f64::exp).collect();
        let likeliest = ranking(logits).into_iter().take(self.top);
        self.logits.extend(logits);
        if self.json {
            let classes: Vec<Value> = likeliest
                .map(
                    |class| json!({ "label": self.labels[class], "index": class, "probability": probabilities[class] }),
                )
                .collect();
            self.predictions.push(json!({ "input": input, "classes": classes }));
            return Ok(());
        }
        let classes = likeliest.map(|class| format!("{} {:.2} %", self.labels[class], 100.0 * probabilities[class]));
        output::print(&format!("{input}: {}\n", classes.collect::<Vec<_>>().join(", ")))
    }
}

fn write_logits(path: &Path, logits: &[f32], classes: usize) -> Result<()> {
    let shape = [(logits.len() / classes) as u64, classes as u64];
    Ok(write_whole(path, |file| {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
        writer.extend(logits.iter())?;
        writer.finish()
    })?)
}

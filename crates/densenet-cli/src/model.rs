//! Weights and data sets, as the command line names them.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use densenet::checkpoint::{Card, Reader, Weights};
use densenet::data::{self, DataSet};
use densenet::models::{self, Model};
use densenet::network::DenseNet;
use densenet::{Architecture, Config};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Where data sets are.
#[derive(Args)]
pub struct DataDir {
    /// Folder that holds data sets, each in a folder of its name [default: $DENSENET_DATA, then the user's cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    /// Opens the data set `name`, and shows a download if it takes one.
    pub fn open(&self, name: &str) -> Result<DataSet> {
        let mut bar: Option<ProgressBar> = None;
        let data = data::open(name, self.data_dir.as_deref(), &mut |progress| {
            let bar = bar.get_or_insert_with(|| download_bar(name));
            bar.set_message(progress.file.to_string());
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(data?)
    }
}

/// The name of a network that there is.
pub fn preset(name: &str) -> Result<String, String> {
    Config::preset(name).map(|_| name.into()).map_err(|error| error.to_string())
}

/// The name of a network that there is, or of a built-in model.
pub fn preset_or_built_in(name: &str) -> Result<String, String> {
    if models::find(name).is_some() { Ok(name.into()) } else { preset(name) }
}

fn download_bar(name: &str) -> ProgressBar {
    output::note(format_args!("downloading {name}"));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The built-in model that is named where a weight file could be.
pub fn built_in(weights: &Path) -> Option<&'static Model> {
    weights.to_str().and_then(models::find)
}

/// Opens a built-in model or a weight file.
pub fn open(weights: &Path) -> Result<Reader> {
    match built_in(weights) {
        Some(model) => Ok(model.open()?),
        None if weights.exists() => Ok(Reader::open(weights)?),
        None => bail!("{}: neither a file nor a built-in model; densenet models lists these", weights.display()),
    }
}

/// Loads a built-in model or a weight file that says which network it holds.
pub fn load(path: &Path) -> Result<(Card, DenseNet)> {
    let mut reader = open(path)?;
    let card = reader.card()?;
    let weights = weights(&mut reader, &Architecture::new(&card.config)?, path)?;
    let network = DenseNet::from_arenas(&card.config, weights.parameters, weights.running)?;
    Ok((card, network))
}

/// Reads the weights of `architecture` and warns of values that are not finite.
pub fn weights(reader: &mut Reader, architecture: &Architecture, path: &Path) -> Result<Weights> {
    let weights = reader.weights(architecture)?;
    let broken = weights.non_finite(architecture);
    if !broken.is_empty() {
        let error = anyhow!("{}: values that are not finite in {}", path.display(), broken.join(", "));
        output::complain("warning", &error);
    }
    Ok(weights)
}

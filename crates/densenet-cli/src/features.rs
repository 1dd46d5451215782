//! `densenet features`.

mod collector;
mod components;
mod embeddings;
mod file;
mod groups;
mod layout;
mod map;
mod nearest;
#[cfg(feature = "parquet")]
mod parquet;
mod reference;
mod thumbnails;
mod tsne;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use densenet::data::{Picture, Unreadable};
use densenet::files::WholeFile;
use serde_json::json;

use self::collector::Collector;
use self::embeddings::{Embeddings, Source};
use self::file::Format;
use self::layout::Method;
use self::nearest::{Neighbours, lines};
use self::reference::Reference;
use crate::data_dir::DataDir;
use crate::model::Model;
use crate::output::{self, Misuse, counted};
use crate::predict::inputs::{Array, Input, inputs};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// Writes a network's features of pictures, draws a map of them, and finds similar pictures
#[derive(Args)]
#[command(
    after_help = "Example: densenet features --weights runs/photos/best.safetensors photos --out features.npy --page map.html\n\
    or:      densenet features --weights cifar10 cat.png --neighbours 5 --of cifar10"
)]
pub struct Features {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// Pictures, folders of pictures, or .npy files of N,C,H,W float32, already normalised
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Write the features to this file: a float32 array (N, values), with the paths in F.txt, or a table of both
    #[arg(long, value_name = "F.npy|F.csv|F.parquet", required_unless_present_any = ["page", "neighbours"])]
    out: Option<PathBuf>,
    /// Use the mean over the pixels of block N's maps, counted from 1 [default: what the classifier reads]
    #[arg(long, value_name = "N")]
    block: Option<usize>,
    /// Write a map of the features, of at most 2,000 inputs, as an HTML page that shows the picture under the pointer
    #[arg(long, value_name = "F.html")]
    page: Option<PathBuf>,
    /// How the features are laid out on the map
    #[arg(long, value_name = "M", requires = "page", default_value = "pca")]
    map: Method,
    /// For each input, find the K pictures of --of whose features are most similar to its own
    #[arg(long, value_name = "K", requires = "of", value_parser = clap::value_parser!(u32).range(1..))]
    neighbours: Option<u32>,
    /// Where to look for neighbours: the training part of a data set, named as for eval, or a folder of pictures
    #[arg(long, value_name = "D", requires = "neighbours")]
    of: Option<String>,
    /// Inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    data_dir: DataDir,
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

impl Features {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let format = self.out.as_deref().map(Format::of).transpose()?;
        if self.out.is_some() && self.out == self.page {
            bail!(Misuse("--out and --page name the same file; each needs its own".into()));
        }
        let model = self.reading.load(&self.weights, &self.preparing)?;
        let mut collector = Collector::new(&model.network, self.block, usize::from(self.batch))?;
        // Files that cannot be written are better known before the work.
        let page = self.page.as_deref().map(WholeFile::create).transpose()?;
        let files = self.out.as_deref().zip(format).map(|(path, format)| file::create(path, format)).transpose()?;
        let reference = self.of.as_deref().map(|of| Reference::open(of, &self.data_dir)).transpose()?;
        let found = self.embed(&model, &mut collector)?;
        let neighbours =
            reference.map(|reference| self.nearest(&model, &mut collector, &found, &reference)).transpose()?;
        if let Some(files) = files {
            files.write(&found)?;
        }
        if let Some(mut page) = page {
            let (neighbours, max_pixels) = (neighbours.as_deref().unwrap_or_default(), self.data_dir.max_pixels());
            page.write(map::page(&self.weights, &found, self.map, neighbours, max_pixels)?.as_bytes())?;
            page.finish()?;
        }
        self.tell(&found, neighbours.as_deref(), &collector.unreadable)?;
        if collector.turned > 0 {
            output::note_turned(collector.turned, model.preprocessing()?);
        }
        output::count_unreadable(collector.unreadable.len(), collector.count());
        Ok(if collector.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The features of all inputs that can be read, in their order; at least one.
    fn embed(&self, model: &Model, collector: &mut Collector<'_>) -> Result<Embeddings<Source>> {
        let mut found = Embeddings::default();
        for input in inputs(&self.inputs, None, &model.network, |input| collector.leave_out(input)) {
            match input {
                Input::Array { path, .. } => {
                    collector.add_array(Array::open(&path, &model.network)?, &path, &mut found)?
                }
                Input::Pictures(files) => {
                    let files: Vec<Source> = files.into_iter().map(Source::Picture).collect();
                    let open = |file: &Source| Picture::open_within(file.path(), self.data_dir.max_pixels());
                    collector.add(&files, model.preprocessing()?, ToString::to_string, open, &mut found)?;
                }
            }
        }
        if found.of.is_empty() {
            bail!("no input could be read");
        }
        Ok(found)
    }

    /// The neighbours of each of the inputs `found` among the pictures of `reference`.
    fn nearest(
        &self,
        model: &Model,
        collector: &mut Collector<'_>,
        found: &Embeddings<Source>,
        reference: &Reference,
    ) -> Result<Vec<Neighbours>> {
        let pictures: Vec<usize> = (0..reference.split.len()).collect();
        let name = |&picture: &usize| reference.name(picture);
        let open = |&picture: &usize| reference.split.picture(picture);
        let mut among = Embeddings::default();
        collector.add(&pictures, model.preprocessing()?, name, open, &mut among)?;
        if among.of.is_empty() {
            bail!("none of the pictures of --of could be read");
        }
        found.check_like(&among)?;
        let count = self.neighbours.map_or(0, |count| count as usize);
        let pictured = if self.page.is_some() { map::ROWS } else { 0 };
        let of_input = |(place, nearest): (usize, &Vec<(usize, f32)>)| {
            let neighbour = |&(near, similarity): &_| reference.neighbour(among.of[near], similarity, place < pictured);
            Neighbours { input: found.of[place].to_string(), nearest: nearest.iter().map(neighbour).collect() }
        };
        let nearest = nearest::nearest(found.values.view(), among.values.view(), count);
        Ok(nearest.iter().enumerate().map(of_input).collect())
    }

    fn tell(
        &self,
        found: &Embeddings<Source>,
        neighbours: Option<&[Neighbours]>,
        unreadable: &[Unreadable],
    ) -> Result<()> {
        let (inputs, values) = found.values.dim();
        if self.json {
            let mut object = json!({ "inputs": inputs, "values": values, "unreadable": unreadable });
            if let Some(neighbours) = neighbours {
                object["neighbours"] = json!(neighbours);
            }
            return output::print_json(&object);
        }
        output::print(&lines(neighbours.unwrap_or_default()))?;
        for path in self.out.iter().chain(&self.page) {
            let (inputs, values) = (counted(inputs, "input"), counted(values, "value"));
            output::note(format_args!("wrote {}: {inputs}, {values} each", path.display()));
        }
        Ok(())
    }
}

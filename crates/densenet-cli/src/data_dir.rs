//! Data sets, as the command line names them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use densenet::data::{self, DataSet, TableOptions};
use indicatif::{ProgressBar, ProgressStyle};

use crate::max_pixels::MaxPixels;
use crate::output;

/// Where data sets are.
#[derive(Args)]
pub struct DataDir {
    /// Folder that holds data sets, each in a subfolder with its name [default: $DENSENET_DATA, else the user's cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    max_pixels: MaxPixels,
}

impl DataDir {
    /// Pixels of a picture's file, at most.
    pub fn max_pixels(&self) -> usize {
        self.max_pixels.get()
    }

    /// Opens the data set `name`, a table as `options` say, shows the download if there is one, and reports what is
    /// skipped.
    pub fn open(&self, name: &str, options: &TableOptions) -> Result<DataSet> {
        let mut bar: Option<ProgressBar> = None;
        let data = data::open(name, self.data_dir.as_deref(), options, &mut |progress| {
            let bar = bar.get_or_insert_with(|| download_bar(name));
            bar.set_message(progress.file.to_string());
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let data = data?.within(self.max_pixels.get());
        data.notes.iter().for_each(output::note);
        Ok(data)
    }
}

fn download_bar(name: &str) -> ProgressBar {
    output::note(format_args!("downloading {name}"));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

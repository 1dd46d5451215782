//! The files of `--out`.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context, Result};
use densenet::files::WholeFile;

use super::embeddings::Embeddings;
#[cfg(feature = "parquet")]
use super::parquet::parquet;
use crate::npy::npy;
use crate::output::Misuse;

/// How features are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An array, and a text file of the paths.
    Npy,
    /// Comma-separated values, below a header.
    Csv,
    /// A path and a list of floats for each input.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Known suffixes.
const SUFFIXES: &str = if cfg!(feature = "parquet") { ".npy, .csv or .parquet" } else { ".npy or .csv" };

impl Format {
    /// What the suffix of `path` says.
    ///
    /// # Errors
    /// An unknown suffix.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).as_deref() {
            Some("npy") => Ok(Self::Npy),
            Some("csv") => Ok(Self::Csv),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Misuse(format!("{}: --out takes a file that ends in {SUFFIXES}", path.display())).into()),
        }
    }
}

/// Files that are begun.
pub enum Files {
    /// The array, and the text file of the paths.
    Npy(WholeFile, WholeFile),
    /// The table.
    Csv(WholeFile),
    /// The same.
    #[cfg(feature = "parquet")]
    Parquet(WholeFile),
}

/// Begins `path`, and for an array the `.txt` beside it.
///
/// # Errors
/// Whatever the file system reports, such as a missing folder.
pub fn create(path: &Path, format: Format) -> Result<Files> {
    let file = WholeFile::create(path)?;
    Ok(match format {
        Format::Npy => Files::Npy(file, WholeFile::create(&path.with_extension("txt"))?),
        Format::Csv => Files::Csv(file),
        #[cfg(feature = "parquet")]
        Format::Parquet => Files::Parquet(file),
    })
}

impl Files {
    /// Writes what was `found`, and puts the files in their places.
    ///
    /// # Errors
    /// Whatever the file system reports, such as a full disk.
    pub fn write<S: Display>(self, found: &Embeddings<S>) -> Result<()> {
        match self {
            Self::Npy(mut array, mut paths) => {
                array.write(&npy(&found.values)?)?;
                found.of.iter().try_for_each(|source| paths.write(line(&source.to_string()).as_bytes()))?;
                array.finish()?;
                Ok(paths.finish()?)
            }
            Self::Csv(table) => whole(table, &csv(found)?),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => whole(table, &parquet(found)?),
        }
    }
}

fn whole(mut file: WholeFile, content: &[u8]) -> Result<()> {
    file.write(content)?;
    Ok(file.finish()?)
}

/// A path as a line; a line break in it is written as `\n`, so that every line is a path.
fn line(path: &str) -> String {
    format!("{}\n", path.replace('\n', "\\n").replace('\r', "\\r"))
}

fn csv<S: Display>(found: &Embeddings<S>) -> Result<Vec<u8>> {
    let mut table = ::csv::Writer::from_writer(Vec::new());
    let names = (1..=found.values.ncols()).map(|value| format!("feature_{value}"));
    table.write_record(std::iter::once("path".to_string()).chain(names))?;
    for (source, features) in found.of.iter().zip(found.values.rows()) {
        let values = features.iter().map(f32::to_string);
        table.write_record(std::iter::once(source.to_string()).chain(values))?;
    }
    table.into_inner().context("a table in memory")
}

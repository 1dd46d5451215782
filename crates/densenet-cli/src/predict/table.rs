//! The file of `--out`: a row or line for each input, added as it is predicted, so that an interrupted run can be
//! resumed.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::prediction::Prediction;
use crate::output::Misuse;

/// A file of predictions, open at its end.
pub struct Table {
    path: PathBuf,
    file: BufWriter<File>,
    format: Format,
    /// The inputs that it held when it was opened.
    done: HashSet<String>,
}

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, below a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl Format {
    /// The format that the suffix of `path` stands for.
    ///
    /// # Errors
    /// An unknown suffix.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => Err(Misuse(format!("{}: --out takes a file that ends in .csv or .jsonl", path.display())).into()),
        }
    }
}

impl Table {
    /// Begins the file `path` with the `columns`, or with `resume` opens the existing one and repairs its end.
    ///
    /// # Errors
    /// A file that exists without `resume`, or that holds something else.
    pub fn open(path: &Path, columns: &[String], resume: bool) -> Result<Self> {
        let name = || path.display().to_string();
        let format = Format::of(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(!resume).create(resume).truncate(false);
        let mut file = match options.open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{}: the file already exists; --resume continues it", name())
            }
            opened => opened.with_context(name)?,
        };
        let kept = match format {
            Format::Csv => csv_rows(&mut file, columns),
            Format::JsonLines => json_lines(&mut file),
        };
        let Kept { done, bytes } = kept.with_context(name)?;
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).with_context(name)?;
        let mut table = Self { path: path.into(), file: BufWriter::new(file), format, done };
        if format == Format::Csv && bytes == 0 {
            table.write_row(columns)?;
        }
        Ok(table)
    }

    /// Whether the file held `input` when it was opened.
    pub fn holds(&self, input: &str) -> bool {
        self.done.contains(input)
    }

    /// Adds a prediction.
    pub fn add(&mut self, prediction: &Prediction<'_>) -> Result<()> {
        match self.format {
            Format::Csv => self.write_row(&prediction.row()),
            Format::JsonLines => self.write(format!("{}\n", prediction.record()).as_bytes()),
        }
    }

    /// Hands what was added to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().with_context(|| self.path.display().to_string())
    }

    /// Makes sure that the file is on disk.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_all().with_context(|| self.path.display().to_string())
    }

    fn write_row(&mut self, fields: &[String]) -> Result<()> {
        let mut row = csv::Writer::from_writer(Vec::new());
        row.write_record(fields).with_context(|| self.path.display().to_string())?;
        let row = row.into_inner().context("a row in memory")?;
        self.write(&row)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| self.path.display().to_string())
    }
}

/// What is whole in a file.
struct Kept {
    /// The inputs that are done.
    done: HashSet<String>,
    /// Where the last whole line ends.
    bytes: u64,
}

/// The rows of a file of `columns`; one that a kill cut off does not count.
fn csv_rows(file: &mut File, columns: &[String]) -> Result<Kept> {
    let whole = whole_lines(file)?;
    let mut kept = Kept { done: HashSet::new(), bytes: 0 };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(BufReader::new(file));
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).context("not a table of predictions")? {
        let (end, line) = (reader.position().byte(), row.position().map_or(0, csv::Position::line));
        // What is cut off ends within the last line, or within a name that spans several lines.
        if end > whole || (end == whole && row.len() < columns.len() && kept.bytes > 0) {
            break;
        }
        if kept.bytes == 0 && row != *columns {
            bail!("its columns are {}; those of this run are {}", fields(&row), columns.join(","));
        }
        if row.len() != columns.len() {
            bail!("line {line} has {} fields; its header has {}", row.len(), columns.len());
        }
        if kept.bytes > 0 {
            kept.done.insert(row[0].to_string());
        }
        kept.bytes = end;
    }
    Ok(kept)
}

fn fields(row: &csv::StringRecord) -> String {
    row.iter().collect::<Vec<_>>().join(",")
}

/// Where the last complete line ends.
fn whole_lines(file: &mut File) -> Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut piece = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(piece.len() as u64);
        let piece = &mut piece[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        if let Some(at) = piece.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.rewind()?;
    Ok(end)
}

/// The lines of a file; one that a kill cut off does not count.
fn json_lines(file: &mut File) -> Result<Kept> {
    #[derive(Deserialize)]
    struct Record {
        path: String,
    }
    let whole = whole_lines(file)?;
    let mut done = HashSet::new();
    for (line, text) in BufReader::new(file.take(whole)).lines().enumerate() {
        let record: Record =
            serde_json::from_str(&text?).with_context(|| format!("line {}: not a prediction", line + 1))?;
        done.insert(record.path);
    }
    Ok(Kept { done, bytes: whole })
}

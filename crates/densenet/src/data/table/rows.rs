//! Tables as their files hold them: CSV, gzipped or not, and lines of JSON.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use crate::data::gzip;
use crate::{Error, Result};

/// Bytes of text beyond which a file is not read; CheXpert's is of 30 MB.
const MAX_BYTES: u64 = 1 << 31;

/// A table: at least one row, of a value a column.
pub(super) struct Table {
    /// Its file.
    pub path: PathBuf,
    /// The columns' names, no two of them equal.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// A row of a table.
pub(super) struct Row {
    /// Its first line in the file, from 1.
    pub line: u64,
    /// Without blanks around them.
    pub values: StringRecord,
}

impl Table {
    /// Reads a file of JSON objects, one a line, if its name ends in `.jsonl`, and of CSV with a header if not.
    pub fn read(path: &Path) -> Result<Self> {
        let source = gzip::open(path)?.take(MAX_BYTES);
        let is_json = path.extension().is_some_and(|suffix| suffix == "jsonl");
        let table = if is_json { Self::of_json(path, source)? } else { Self::of_csv(path, source)? };
        let twice = table.columns.iter().enumerate().find(|(i, name)| table.columns[..*i].contains(name));
        match twice {
            Some((_, name)) => Err(Error::format(path, format!("two columns are called {name}; names must differ"))),
            None if table.rows.is_empty() => {
                Err(Error::format(path, "no rows; a table has a header and a row a picture"))
            }
            None => Ok(table),
        }
    }

    fn of_csv(path: &Path, source: impl Read) -> Result<Self> {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(source);
        let columns = reader.headers().map_err(|error| broken(path, error))?.iter().map(String::from).collect();
        let rows = reader.into_records().map(|record| {
            let values = record.map_err(|error| broken(path, error))?;
            Ok(Row { line: values.position().map_or(0, csv::Position::line), values })
        });
        Ok(Self { path: path.into(), columns, rows: rows.collect::<Result<_>>()? })
    }

    /// Each key is a column; one that an object lacks is blank there.
    fn of_json(path: &Path, source: impl Read) -> Result<Self> {
        let (mut columns, mut objects) = (Vec::new(), Vec::new());
        for (line, text) in (1..).zip(BufReader::new(source).lines()) {
            let text = text.map_err(Error::io(path))?;
            if text.trim().is_empty() {
                continue;
            }
            let object: Map<String, Value> = serde_json::from_str(&text)
                .map_err(|error| Error::format(path, format!("line {line}: not an object of JSON: {error}")))?;
            columns.extend(object.keys().filter(|key| !columns.contains(*key)).cloned().collect::<Vec<_>>());
            objects.push((line, object));
        }
        let rows = objects.into_iter().map(|(line, object)| {
            let values = columns.iter().map(|column| object.get(column).map_or(String::new(), plain));
            Row { line, values: values.collect() }
        });
        Ok(Self { path: path.into(), rows: rows.collect(), columns })
    }

    /// An error about a row.
    pub fn error(&self, row: &Row, reason: impl AsRef<str>) -> Error {
        Error::format(&self.path, format!("line {}: {}", row.line, reason.as_ref()))
    }
}

/// What CSV would hold in a value's place.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().into(),
        Value::Bool(known) => u8::from(*known).to_string(),
        other => other.to_string(),
    }
}

/// What is wrong with a file that is no CSV.
fn broken(path: &Path, error: csv::Error) -> Error {
    match error.into_kind() {
        ErrorKind::Io(error) => Error::io(path)(error),
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(0, |position| position.line());
            let reason = format!("line {line}: the number of values is {len}, that of columns {expected_len}");
            Error::format(path, format!("{reason}; a value with a comma in it stands in quotes"))
        }
        ErrorKind::Utf8 { pos, err } => {
            let line = pos.map_or(0, |position| position.line());
            Error::format(path, format!("line {line}: not UTF-8 ({err}); save the table as UTF-8"))
        }
        other => Error::format(path, format!("not a readable table: {other:?}")),
    }
}

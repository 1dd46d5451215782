//! The content of table files: CSV, gzipped or not, and JSON Lines.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use super::lines::Lines;
use crate::data::gzip;
use crate::{Error, Result};

/// Bytes of text beyond which a file is not read; CheXpert's has 30 MB.
const MAX_BYTES: u64 = 1 << 31;

/// A table: at least one row, with a value per column.
pub(super) struct Table {
    /// Its file.
    pub path: PathBuf,
    /// The column names, all different.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// A row of a table.
pub(super) struct Row {
    /// The number of its first line in the file, from 1.
    pub line: u64,
    /// Its values, without blanks around them.
    pub values: StringRecord,
}

impl Table {
    /// Reads a file of JSON objects, one per line, if its name ends in `.jsonl`, otherwise CSV with a header.
    pub fn read(path: &Path) -> Result<Self> {
        let source = gzip::open(path)?.take(MAX_BYTES);
        let is_json = path.extension().is_some_and(|suffix| suffix == "jsonl");
        let table = if is_json { Self::of_json(path, source)? } else { Self::of_csv(path, source)? };
        let twice = table.columns.iter().enumerate().find(|(i, name)| table.columns[..*i].contains(name));
        match twice {
            Some((_, name)) if name.is_empty() => {
                Err(Error::format(path, "two columns have no name; names must differ"))
            }
            Some((_, name)) => Err(Error::format(path, format!("two columns are called {name}; names must differ"))),
            None if table.rows.is_empty() => {
                Err(Error::format(path, "no rows; a table has a header and a row per picture"))
            }
            None => Ok(table),
        }
    }

    fn of_csv(path: &Path, mut source: impl Read) -> Result<Self> {
        let mut text = Vec::new();
        source.read_to_end(&mut text).map_err(Error::io(path))?;
        let mut lines = Lines::of(&text);
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_slice());
        let header = reader.headers().map_err(|error| broken(path, error, &mut lines))?;
        let columns = header.iter().map(String::from).collect();
        let rows = reader.into_records().map(|record| {
            let values = record.map_err(|error| broken(path, error, &mut lines))?;
            Ok(Row { line: lines.number(values.position()), values })
        });
        Ok(Self { path: path.into(), columns, rows: rows.collect::<Result<_>>()? })
    }

    /// Each key is a column; an object that lacks it has a blank there.
    fn of_json(path: &Path, source: impl Read) -> Result<Self> {
        let (mut columns, mut objects) = (Vec::new(), Vec::new());
        for (line, text) in (1..).zip(BufReader::new(source).split(b'\n')) {
            let text = text.map_err(Error::io(path))?;
            let object = object(&text).map_err(|reason| Error::format(path, format!("line {line}: {reason}")))?;
            let Some(object) = object else { continue };
            columns.extend(object.keys().filter(|key| !columns.contains(*key)).cloned().collect::<Vec<_>>());
            objects.push((line, object));
        }
        let rows = objects.into_iter().map(|(line, object)| {
            let values = columns.iter().map(|column| object.get(column).map_or(String::new(), plain));
            Row { line, values: values.collect() }
        });
        Ok(Self { path: path.into(), rows: rows.collect(), columns })
    }

    /// An error for a row.
    pub fn error(&self, row: &Row, reason: impl AsRef<str>) -> Error {
        Error::format(&self.path, format!("line {}: {}", row.line, reason.as_ref()))
    }
}

/// The JSON object in a line; `None` for a blank line. The error says what is wrong with the line.
fn object(line: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 ({error}); save the table as UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(None);
    }
    // To the parser, each line is the first one.
    let reason = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at column ");
    serde_json::from_str(text).map(Some).map_err(|error| format!("not a JSON object: {}", reason(error)))
}

/// A value's representation in CSV.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().into(),
        Value::Bool(known) => u8::from(*known).to_string(),
        other => other.to_string(),
    }
}

/// What is wrong with text that is not CSV.
fn broken(path: &Path, error: csv::Error, lines: &mut Lines<'_>) -> Error {
    match error.into_kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = lines.number(pos.as_ref());
            let reason =
                format!("line {line}: the number of values is {len}, but the number of columns is {expected_len}");
            let right = match expected_len {
                1 => "a table must separate its values and its column names with commas",
                _ => "a value that contains a comma must be in quotes",
            };
            Error::format(path, format!("{reason}; {right}"))
        }
        ErrorKind::Utf8 { pos, err } => {
            let line = lines.number(pos.as_ref());
            Error::format(path, format!("line {line}: not UTF-8 ({err}); save the table as UTF-8"))
        }
        other => Error::format(path, format!("not a readable table: {other:?}")),
    }
}

//! What the program says: results on stdout, everything else on stderr.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process;

use anyhow::{Context, Result};
use densenet::data::{Orientation, Preprocessing};
use densenet::files::WholeFile;
use serde::Serialize;

/// An error in the command line's arguments, for which the program exits with 2.
#[derive(Debug)]
pub struct Misuse(pub String);

impl Display for Misuse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Misuse {}

/// Writes a result to stdout. A reader that has seen enough (a closed pipe) ends the program without complaint.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        outcome => outcome.context("stdout"),
    }
}

/// Writes one JSON object to stdout.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string(value)?))
}

/// Writes a line to stderr; it is no error if nobody reads it.
pub fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes an error or a warning to stderr with its causes.
pub fn complain(kind: &str, error: &anyhow::Error) {
    note(format_args!("densenet: {kind}: {}", with_causes(error)));
}

/// An error and its causes, except those that it already ends with.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for part in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = part;
        } else if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
    }
    text
}

/// Reports how many of the inputs could not be read, if there are any and there is more than one input.
pub fn count_unreadable(unreadable: usize, of: usize) {
    if unreadable > 0 && of > 1 {
        note(format_args!("{} of {} could not be read", count(unreadable as u64), counted(of, "input")));
    }
}

/// Fails where no file can be written at `path`: better known before the work than after it.
pub fn check_place(path: &Path) -> Result<()> {
    WholeFile::create(path)?;
    Ok(())
}

/// Reports how many pictures are not stored upright, where they are read as stored.
pub fn note_turned(pictures: usize, preprocessing: &Preprocessing) {
    if pictures == 0 || preprocessing.orientation == Orientation::Apply {
        return;
    }
    let (they, are, them) = match pictures {
        1 => ("it", "is", "it"),
        _ => ("they", "are", "them"),
    };
    note(format_args!(
        "{} {are} not stored upright according to EXIF; {they} {are} read as stored, as torchvision does; \
         --orientation apply turns {them} upright",
        counted(pictures, "picture"),
    ));
}

/// Lays rows out in columns: the first to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A file without its folders, as pictures call it.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A count of something, in the singular or plural: `1 class`, `3 classes`.
pub fn counted(number: usize, noun: &str) -> String {
    let ending = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {noun}{ending}", count(number as u64))
}

/// A count with its thousands separated: `7,978,856`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_separated() {
        assert_eq!([0, 999, 1_000, 7_978_856].map(count), ["0", "999", "1,000", "7,978,856"]);
    }

    #[test]
    fn one_is_singular() {
        let texts =
            [(1, "class"), (1_000, "class"), (1, "input channel"), (0, "picture")].map(|(n, of)| counted(n, of));
        assert_eq!(texts, ["1 class", "1,000 classes", "1 input channel", "0 pictures"]);
    }

    #[test]
    fn a_cause_is_named_once() {
        let cause = std::io::Error::other("no room");
        let error = anyhow::Error::from(densenet::Error::io("w.onnx")(cause)).context("exporting");
        assert_eq!(with_causes(&error), "exporting: w.onnx: no room");
    }

    #[test]
    fn tables_line_up() {
        let rows = [["a", "10"], ["bcd", "5"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "a    10\nbcd   5\n");
    }
}

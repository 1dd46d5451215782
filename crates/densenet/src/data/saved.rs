//! Which pictures are in which part, saved with a run, so that it goes on with the very same.

use std::collections::HashMap;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Writer};

use super::{DataSet, Part, Split};
use crate::files::write_whole;
use crate::{Error, Result};

/// The name of the file in a run's folder.
pub const SPLIT: &str = "split.csv";

/// A picture's path within the data's folder, or its place in its file, from 0; and its part.
const HEADER: [&str; 2] = ["picture", "part"];

impl DataSet {
    /// Writes which pictures are in which part: a row each of `picture,part`, the path within the data's folder, or for
    /// pictures in memory the place in the training file, from 0. What is tested on is not listed of these.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn write_split(&self, path: &Path) -> Result<()> {
        write_whole(path, |file| {
            let mut table = Writer::from_writer(file);
            table.write_record(HEADER)?;
            for split in self.listed() {
                for index in 0..split.len() {
                    table.write_record([
                        name(split, index, &self.root).as_slice(),
                        split.part().to_string().as_bytes(),
                    ])?;
                }
            }
            table.flush()
        })
    }

    /// The same data parted as a file of [`DataSet::write_split`] tells. Pictures that it does not list, as those that
    /// came since, are left out.
    ///
    /// # Errors
    /// A file that cannot be read, a row that is none of `picture,part`, a picture in two rows, one that is not among
    /// the data, or no picture to train or to choose by.
    pub fn divide_as(mut self, path: &Path) -> Result<Self> {
        let all = Split::joined(&self.listed());
        let mut places: HashMap<Vec<u8>, usize> = (0..all.len()).map(|i| (name(&all, i, &self.root), i)).collect();
        let mut parts = [const { Vec::new() }; 3];
        for (line, picture, part) in rows(path)? {
            let place = places.remove(&picture).ok_or_else(|| {
                let picture = String::from_utf8_lossy(&picture).into_owned();
                let reason = format!("line {line}: {picture} is not in {}, or stands in two lines", self.name);
                Error::format(path, format!("{reason}; a run goes on with the pictures that it was begun with"))
            })?;
            parts[part as usize].push(place);
        }
        let [train, validation, test] = parts;
        let of = |indices: &[usize], part| (!indices.is_empty()).then(|| all.select(indices).as_part(part));
        let train = of(&train, Part::Train).ok_or_else(|| Error::format(path, "no picture is of the part train"))?;
        let (validation, test) = (of(&validation, Part::Validation), of(&test, Part::Test));
        (self.train, self.validation, self.test) = match (validation, test) {
            (Some(validation), None) if self.test.part() == Part::Validation => (train, None, validation),
            (validation, test) => (train, validation, test.unwrap_or(self.test)),
        };
        Ok(self)
    }

    /// The parts that are listed: of pictures in memory those of the training file.
    fn listed(&self) -> Vec<&Split> {
        let test = self.train.path(0).map(|_| &self.test);
        std::iter::once(&self.train).chain(&self.validation).chain(test).collect()
    }
}

/// What a picture is called.
fn name(split: &Split, index: usize, root: &Path) -> Vec<u8> {
    match split.path(index) {
        Some(path) => path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes().to_vec(),
        None => split.place(index).to_string().into_bytes(),
    }
}

/// The rows of such a file: line, picture, part.
fn rows(path: &Path) -> Result<Vec<(u64, Vec<u8>, Part)>> {
    let broken = |error: csv::Error| Error::format(path, format!("not a list of pictures: {error}"));
    let mut reader = ReaderBuilder::new().from_path(path).map_err(broken)?;
    if reader.byte_headers().map_err(broken)? != &ByteRecord::from(HEADER.to_vec()) {
        return Err(Error::format(path, format!("its header is not {}", HEADER.join(","))));
    }
    let rows = reader.byte_records().map(|row| {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        let word = String::from_utf8_lossy(&row[1]);
        let part = Part::named(&word).ok_or_else(|| {
            Error::format(path, format!("line {line}: {word:?} is no part; it is train, val or test"))
        })?;
        Ok((line, row[0].to_vec(), part))
    });
    rows.collect()
}

//! Which pictures are in which part, saved with a run so that it resumes with exactly the same ones.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Writer};

use super::{DataSet, Part, Split};
use crate::files::write_whole;
use crate::{Error, Result};

/// The file name in a run's folder.
pub const SPLIT: &str = "split.csv";

/// A picture's path within the data's folder, or its index in its file, from 0; and its part.
const HEADER: [&str; 2] = ["picture", "part"];

impl DataSet {
    /// Writes which pictures are in which part: rows of `picture,part`, with the path within the data's folder, or for
    /// pictures in memory the index in the training file, from 0. Of the latter, test pictures are not listed.
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

    /// The same data, divided according to a file from [`DataSet::write_split`]. Pictures that the file does not list,
    /// e.g. newer ones, are left out, and so are classes with no listed picture. Pictures that are missing from class
    /// folders keep their entries: the error appears when they are read.
    ///
    /// # Errors
    /// A file that cannot be read, a row other than `picture,part`, a picture in two rows, a picture that is not among
    /// the data and was not in a class folder, no picture that still exists, or no picture for training or for
    /// validation.
    pub fn divide_as(mut self, path: &Path) -> Result<Self> {
        let rows = rows(path)?;
        let all = self.pictures_of(&rows, path)?;
        let of = |part: Part| {
            let indices: Vec<usize> = (0..rows.len()).filter(|&index| rows[index].part == part).collect();
            (!indices.is_empty()).then(|| all.select(&indices).as_part(part))
        };
        let train = of(Part::Train).ok_or_else(|| Error::format(path, "no picture is in the part train"))?;
        (self.train, self.validation, self.test) = match (of(Part::Validation), of(Part::Test)) {
            (validation, Some(test)) => (train, validation, test),
            // Of pictures in memory, test pictures are not listed.
            (validation, None) if train.path(0).is_none() => (train, validation, self.test),
            (Some(validation), None) => (train, None, validation),
            (None, None) => return Err(Error::format(path, "no picture is in the part val or test")),
        };
        self.undivided = false;
        Ok(self)
    }

    /// The pictures of `rows`, in their order, with their classes.
    fn pictures_of(&self, rows: &[Row], path: &Path) -> Result<Split> {
        let all = self.with_gone(Split::joined(&self.listed()), rows, path)?;
        let places = self.places(&all);
        let place = |row: &Row| {
            places.get(&row.picture).copied().ok_or_else(|| {
                let (line, picture) = (row.line, String::from_utf8_lossy(&row.picture));
                let reason = format!("line {line}: {picture} is not in {}", self.name);
                Error::format(path, format!("{reason}; a run resumes with the pictures that it was started with"))
            })
        };
        let places = rows.iter().map(place).collect::<Result<Vec<usize>>>()?;
        Ok(all.select(&places).of_own_classes())
    }

    /// `all`, plus those of `rows` that are missing from its class folders, unless all are missing.
    fn with_gone(&self, all: Split, rows: &[Row], path: &Path) -> Result<Split> {
        let places = self.places(&all);
        let gone = rows.iter().filter(|row| !places.contains_key(&row.picture));
        let gone: Vec<(PathBuf, String)> = gone.filter_map(|row| self.gone(&row.picture)).collect();
        if gone.is_empty() || gone.len() == rows.len() {
            return Ok(all);
        }
        let classes: BTreeSet<&String> = all.classes().iter().chain(gone.iter().map(|(_, class)| class)).collect();
        let classes: Vec<String> = classes.into_iter().cloned().collect();
        let label = |class: &String| classes.binary_search(class).expect("all classes are among these");
        let (files, labels) = gone.into_iter().map(|(file, class)| (file, label(&class))).unzip();
        let gone = Split::of_files(path, files, labels, classes.clone())?;
        let all = all.relabelled(&classes).expect("all classes are among these");
        Ok(Split::joined(&[&all, &gone]))
    }

    /// The former path of a picture in a class folder, and its class; `None` where its name does not show them.
    fn gone(&self, picture: &[u8]) -> Option<(PathBuf, String)> {
        let (depth, inside) = (self.class_depth?, Path::new(std::str::from_utf8(picture).ok()?));
        let plain = |component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        };
        let names = inside.components().map(plain).collect::<Option<Vec<&str>>>()?;
        (names.len() > depth + 1).then(|| (self.root.join(inside), names[depth].to_owned()))
    }

    /// The index of each picture of `all`, by its name in the file.
    fn places(&self, all: &Split) -> HashMap<Vec<u8>, usize> {
        (0..all.len()).map(|index| (name(all, index, &self.root), index)).collect()
    }

    /// The parts that are listed: for pictures in memory, those of the training file.
    fn listed(&self) -> Vec<&Split> {
        let test = self.train.path(0).map(|_| &self.test);
        std::iter::once(&self.train).chain(&self.validation).chain(test).collect()
    }
}

/// A picture's name in the file.
fn name(split: &Split, index: usize, root: &Path) -> Vec<u8> {
    match split.path(index) {
        Some(path) => path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes().to_vec(),
        None => split.place(index).to_string().into_bytes(),
    }
}

/// A row of such a file.
struct Row {
    /// From 1.
    line: u64,
    /// The picture's name.
    picture: Vec<u8>,
    part: Part,
}

/// The rows of such a file, no two of them for the same picture.
fn rows(path: &Path) -> Result<Vec<Row>> {
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
            Error::format(path, format!("line {line}: {word:?} is not a part; use train, val or test"))
        })?;
        Ok(Row { line, picture: row[0].to_vec(), part })
    });
    let rows: Vec<Row> = rows.collect::<Result<_>>()?;
    distinct(path, &rows)?;
    Ok(rows)
}

/// Rejects a picture with two rows.
fn distinct(path: &Path, rows: &[Row]) -> Result<()> {
    let mut seen: HashMap<&[u8], u64> = HashMap::new();
    for Row { line, picture, .. } in rows {
        if let Some(first) = seen.insert(picture, *line) {
            let picture = String::from_utf8_lossy(picture);
            let reason = format!("line {line}: {picture} is in line {first} already; a picture belongs to one part");
            return Err(Error::format(path, reason));
        }
    }
    Ok(())
}

//! The parts of a set of pictures, assembled from table rows.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::labels::Target;
use super::records::{Record, Records};
use crate::data::parts::Parts;
use crate::data::{Part, Split, Targets, divide};
use crate::{Error, Result};

/// The parts of a set whose pictures are in `root`; errors that do not concern a row name `table`.
pub(super) fn parts(table: &Path, root: &Path, records: Records) -> Result<Parts> {
    let Records { all, names, mut notes } = records;
    distinct(&all)?;
    let (all, left_out) = parted(table, all);
    notes.extend(left_out);
    let groups = groups(&all)?;
    let missing = missing(table, &all)?;
    if let Some(first) = missing.first() {
        let (count, of) = (missing.len(), all.len());
        notes.push(format!("{}: {count} of {of} pictures are missing, as {}", table.display(), first.display()));
    }
    let (names, targets) = targets(&all, names);
    let files = all.iter().map(|record| record.file.clone()).collect();
    let whole = Split::of_targets(table, files, targets, names)?.as_part(Part::Train).grouped(groups);
    let part = |part| -> Vec<usize> { (0..all.len()).filter(|&i| all[i].part == Some(part)).collect() };
    let held_out = [part(Part::Validation), part(Part::Test)];
    let undivided = held_out.iter().all(Vec::is_empty);
    let (train, [validation, test]) = match undivided {
        true => by_name(table, &all, &whole)?,
        false => (part(Part::Train), held_out),
    };
    if train.is_empty() {
        return Err(Error::format(table, "no row is in the part train; there is nothing to train on"));
    }
    let of = |indices: &[usize], part| (!indices.is_empty()).then(|| whole.select(indices).as_part(part));
    let (validation, test) = match (of(&validation, Part::Validation), of(&test, Part::Test)) {
        (Some(validation), None) => (None, validation),
        (validation, test) => (validation, test.expect("what is held out is of one of the two parts")),
    };
    let (train, root, class_depth) = (whole.select(&train), root.into(), None);
    Ok(Parts { train, validation, test, root, class_depth, undivided, missing, notes })
}

/// The records with a part, where any are held out, and a note about those without one; all records where none are.
fn parted(table: &Path, all: Vec<Record>) -> (Vec<Record>, Option<String>) {
    if !all.iter().any(|record| matches!(record.part, Some(Part::Validation | Part::Test))) {
        return (all, None);
    }
    let of = all.len();
    let (parted, left_out): (Vec<Record>, Vec<Record>) = all.into_iter().partition(|record| record.part.is_some());
    let note = left_out.first().map(|first| {
        let (table, count) = (table.display(), left_out.len());
        let outside = "outside the folders train, val (valid, validation) and test, and left out";
        format!("{table}: {count} of {of} pictures are {outside}, as {} in line {}", first.file.display(), first.line)
    });
    (parted, note)
}

/// Rejects a picture with two rows.
fn distinct(records: &[Record]) -> Result<()> {
    let mut seen: HashMap<&Path, &Record> = HashMap::new();
    for record in records {
        if let Some(first) = seen.insert(&record.file, record) {
            let reason = format!("{} is in {} already", record.file.display(), place(first, record));
            return Err(error(record, format!("{reason}; a picture has one row")));
        }
    }
    Ok(())
}

/// A number for each record's group, the same for the same group; a group in two parts is refused. Empty without
/// groups.
fn groups(records: &[Record]) -> Result<Vec<usize>> {
    let mut first: HashMap<&str, (usize, &Record)> = HashMap::new();
    let mut groups = Vec::new();
    for record in records {
        let Some(group) = &record.group else { continue };
        let next = first.len();
        let &mut (number, other) = first.entry(group).or_insert((next, record));
        if let (Some(part), Some(others)) = (record.part, other.part)
            && part != others
        {
            let reason = format!("{group} is in {part}, and in {others} in {}", place(other, record));
            return Err(error(record, format!("{reason}; a group (--group-by) must be in one part")));
        }
        groups.push(number);
    }
    match records.iter().find(|record| record.group.is_none()) {
        Some(record) if !groups.is_empty() => Err(error(record, "no group, while pictures of another table have one")),
        _ => Ok(groups),
    }
}

/// The location of `other`, as seen from `record`.
fn place(other: &Record, record: &Record) -> String {
    let of = if other.table == record.table { String::new() } else { format!(" of {}", other.table.display()) };
    format!("line {}{of}", other.line)
}

fn error(record: &Record, reason: impl AsRef<str>) -> Error {
    Error::format(&*record.table, format!("line {}: {}", record.line, reason.as_ref()))
}

/// The pictures that are missing, or are not files; an error if all are.
fn missing(table: &Path, records: &[Record]) -> Result<Vec<PathBuf>> {
    let missing: Vec<PathBuf> =
        records.iter().map(|record| &record.file).filter(|file| !file.is_file()).cloned().collect();
    if missing.len() < records.len() {
        return Ok(missing);
    }
    let first = records[0].file.display();
    let reason =
        format!("none of its pictures exist, as {first}; name the folder that the paths are relative to with --images");
    Err(Error::format(table, reason))
}

/// The names, and each picture's targets among them. Classes are in the order of their names, or of their numbers.
fn targets(records: &[Record], labels: Vec<String>) -> (Vec<String>, Targets) {
    let classes: BTreeSet<&str> = records.iter().filter_map(|record| class(record)).collect();
    if classes.is_empty() {
        let all = records.iter().flat_map(|record| match &record.target {
            Target::Labels(labels) => labels.clone(),
            Target::Class(_) => Vec::new(),
        });
        return (labels, Targets::Labels(all.collect()));
    }
    let mut classes: Vec<&str> = classes.into_iter().collect();
    if let Ok(mut numbered) = classes.iter().map(|&name| Ok((name.parse()?, name))).collect::<Numbered>() {
        numbered.sort_unstable();
        classes = numbered.into_iter().map(|(_, name)| name).collect();
    }
    let places: HashMap<&str, usize> = classes.iter().enumerate().map(|(place, &name)| (name, place)).collect();
    let targets = records.iter().filter_map(|record| places.get(class(record)?).copied()).collect();
    (classes.into_iter().map(String::from).collect(), Targets::Classes(targets))
}

/// Classes with their names as numbers.
type Numbered<'a> = std::result::Result<Vec<(i64, &'a str)>, std::num::ParseIntError>;

fn class(record: &Record) -> Option<&str> {
    match &record.target {
        Target::Class(class) => Some(class),
        Target::Labels(_) => None,
    }
}

/// The indices to keep and to hold out for testing, where the tables hold nothing out.
fn by_name(table: &Path, records: &[Record], whole: &Split) -> Result<(Vec<usize>, [Vec<usize>; 2])> {
    let name = |index: usize| {
        let record: &Record = &records[index];
        let file = record.file.file_name().unwrap_or_default().as_encoded_bytes();
        record.group.as_ref().map_or(file, |group| group.as_bytes())
    };
    let (kept, held) = divide::by_name(whole, name);
    match held.is_empty() {
        true => Err(Error::format(table, format!("{}; add some", divide::too_few(whole, "pictures")))),
        false => Ok((kept, [Vec::new(), held])),
    }
}

//! What is wrong with a data set, found by comparing what is known about its pictures.

use std::collections::BTreeMap;

use densenet::Error;
use densenet::data::{DataSet, Part, Split, Unreadable};
use serde::Serialize;

use super::inspection::{Hash, Record, State};

/// A side below which a picture is tiny, in pixels.
pub const TINY: usize = 16;
/// Training pictures below which a class has few.
pub const FEW: usize = 10;

/// What is found; the order of all lists is that of the parts and the pictures in them.
#[derive(Serialize)]
pub struct Findings {
    /// Pictures of each part.
    pub pictures: BTreeMap<String, usize>,
    pub classes: Vec<Class>,
    /// Largest by smallest number of training pictures of a class, of those that have any.
    pub imbalance: Option<f64>,
    pub unreadable: Vec<Unreadable>,
    /// Files of no bytes.
    pub empty: Vec<String>,
    /// Pictures with a side below [`TINY`].
    pub tiny: Vec<Tiny>,
    /// The same pixels, but labels that contradict each other.
    pub conflicts: Vec<Same>,
    /// The same pixels in the training part and in another.
    pub leaks: Vec<Same>,
    /// Other cases of the same pixels.
    pub duplicates: Vec<Same>,
    /// Classes without a training picture.
    pub missing: Vec<String>,
    /// Classes with training pictures, but fewer than [`FEW`].
    pub few: Vec<String>,
    /// Why no network can be trained on it, as `densenet train` says.
    pub refused: Vec<String>,
    /// Classes whose names differ only in case, or in blanks at their ends.
    pub alike: Vec<Vec<String>>,
    /// What was skipped when the data set was read, in words.
    pub notes: Vec<String>,
}

/// Pictures of a class, or with a label, by part.
#[derive(Serialize)]
pub struct Class {
    pub name: String,
    #[serde(flatten)]
    pub pictures: BTreeMap<String, usize>,
}

/// A picture that is too small to show much.
#[derive(Serialize)]
pub struct Tiny {
    pub input: String,
    pub height: usize,
    pub width: usize,
}

/// Pictures of the same pixels.
#[derive(Serialize)]
pub struct Same {
    /// Whether the files are the same, too.
    pub same_file: bool,
    pub pictures: Vec<Member>,
}

/// One of several.
#[derive(Serialize)]
pub struct Member {
    pub input: String,
    pub part: Part,
    /// Its class or labels.
    pub labels: Vec<String>,
}

/// The parts of a data set, the training part first.
pub fn parts(data: &DataSet) -> Vec<&Split> {
    [Some(&data.train), data.validation.as_ref(), Some(&data.test)].into_iter().flatten().collect()
}

impl Findings {
    pub fn new(data: &DataSet, records: &[Record]) -> Self {
        let parts = Parts(parts(data));
        let classes = parts.classes();
        let train: Vec<(&str, usize)> = classes.iter().map(|class| (&*class.name, class.pictures["train"])).collect();
        let named = |fits: fn(usize) -> bool| -> Vec<String> {
            train.iter().filter(|(_, count)| fits(*count)).map(|(name, _)| name.to_string()).collect()
        };
        let counts = || train.iter().map(|(_, count)| *count).filter(|count| *count > 0);
        let (missing, few) = (named(|count| count == 0), named(|count| (1..FEW).contains(&count)));
        let imbalance = counts().max().zip(counts().min()).map(|(most, least)| most as f64 / least as f64);
        let pictures = parts.0.iter().map(|split| (split.part().to_string(), split.len())).collect();
        let mut findings = Self {
            pictures,
            imbalance,
            missing,
            few,
            refused: refused(data).into_iter().collect(),
            alike: alike(&classes),
            notes: data.notes.clone(),
            classes,
            unreadable: Vec::new(),
            empty: Vec::new(),
            tiny: Vec::new(),
            conflicts: Vec::new(),
            leaks: Vec::new(),
            duplicates: Vec::new(),
        };
        records.iter().for_each(|record| findings.add(&parts, record));
        same_pixels(records).iter().for_each(|group| findings.add_same(&parts, group));
        findings
    }

    /// What would harm training, so that there is no use in starting.
    pub fn is_harmful(&self) -> bool {
        !(self.unreadable.is_empty()
            && self.empty.is_empty()
            && self.conflicts.is_empty()
            && self.leaks.is_empty()
            && self.missing.is_empty()
            && self.refused.is_empty())
    }

    fn add(&mut self, parts: &Parts<'_>, record: &Record) {
        let input = parts.input(record);
        match &record.state {
            State::Empty => self.empty.push(input),
            State::Unreadable(reason) => self.unreadable.push(Unreadable { input, reason: reason.clone() }),
            &State::Sound { height, width, .. } if height.min(width) < TINY => {
                self.tiny.push(Tiny { input, height, width });
            }
            State::Sound { .. } => {}
        }
    }

    fn add_same(&mut self, parts: &Parts<'_>, group: &[&Record]) {
        let bytes = |record: &Record| match record.state {
            State::Sound { bytes, .. } => bytes,
            _ => None,
        };
        let members = || Same {
            same_file: bytes(group[0]).is_some() && group.iter().all(|record| bytes(record) == bytes(group[0])),
            pictures: group.iter().map(|record| parts.member(record)).collect(),
        };
        let in_train = group.iter().filter(|record| record.part == Part::Train).count();
        let (conflict, leak) = (parts.contradict(group), (1..group.len()).contains(&in_train));
        let lists =
            [(conflict, &mut self.conflicts), (leak, &mut self.leaks), (!conflict && !leak, &mut self.duplicates)];
        lists.into_iter().filter(|(fits, _)| *fits).for_each(|(_, list)| list.push(members()));
    }
}

/// The parts of a data set.
struct Parts<'a>(Vec<&'a Split>);

impl Parts<'_> {
    fn of(&self, record: &Record) -> &Split {
        self.0.iter().find(|split| split.part() == record.part).expect("every record is of one of the parts")
    }

    /// The path of a picture, or `PART[INDEX]`.
    fn input(&self, record: &Record) -> String {
        let path = self.of(record).path(record.index);
        path.map_or_else(|| format!("{}[{}]", record.part, record.index), |path| path.display().to_string())
    }

    /// Whether a picture shows each of the classes, where that is known.
    fn shown(&self, record: &Record) -> impl Iterator<Item = (&String, Option<bool>)> {
        let (split, index) = (self.of(record), record.index);
        let names = split.classes();
        names.iter().enumerate().map(move |(i, name)| (name, split.targets().shows(index, i, names.len())))
    }

    fn member(&self, record: &Record) -> Member {
        let labels = self.shown(record).filter(|(_, shows)| *shows == Some(true)).map(|(name, _)| name.clone());
        Member { input: self.input(record), part: record.part, labels: labels.collect() }
    }

    /// Whether one picture shows what another does not.
    fn contradict(&self, group: &[&Record]) -> bool {
        let mut seen = BTreeMap::new();
        let mut known = group.iter().flat_map(|record| self.shown(record)).filter_map(|(name, is)| Some((name, is?)));
        known.any(|(name, is)| *seen.entry(name).or_insert(is) != is)
    }

    fn classes(&self) -> Vec<Class> {
        let names = self.0[0].classes();
        let showing = |split: &Split, class| {
            (0..split.len()).filter(|&i| split.targets().shows(i, class, names.len()) == Some(true)).count()
        };
        let class = |(i, name): (usize, &String)| Class {
            name: name.clone(),
            pictures: self.0.iter().map(|split| (split.part().to_string(), showing(split, i))).collect(),
        };
        names.iter().enumerate().map(class).collect()
    }
}

/// Why no network can be trained on `data`.
fn refused(data: &DataSet) -> Option<String> {
    data.check().err().map(|error| match error {
        Error::DataSet { reason, .. } => reason,
        other => other.to_string(),
    })
}

/// Names that are the same in small letters and without blanks around them.
fn alike(classes: &[Class]) -> Vec<Vec<String>> {
    let mut by_letters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Class { name, .. } in classes {
        by_letters.entry(name.trim().to_lowercase()).or_default().push(name.clone());
    }
    by_letters.into_values().filter(|names| names.len() > 1).collect()
}

/// Groups of records with the same pixels, in the order of their first.
fn same_pixels(records: &[Record]) -> Vec<Vec<&Record>> {
    let mut by_pixels: BTreeMap<Hash, Vec<(usize, &Record)>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let State::Sound { pixels, .. } = record.state {
            by_pixels.entry(pixels).or_default().push((place, record));
        }
    }
    let mut groups: Vec<_> = by_pixels.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_by_key(|group| group[0].0);
    groups.into_iter().map(|group| group.into_iter().map(|(_, record)| record).collect()).collect()
}

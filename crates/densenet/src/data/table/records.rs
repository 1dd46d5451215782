//! The pictures listed in tables, one per row.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TableOptions;
use super::chest::patient;
use super::columns::{Columns, Form, Group};
use super::labels::Target;
use super::lists::Lists;
use super::place::Root;
use super::rows::{Row, Table};
use super::sources::Source;
use crate::data::Part;
use crate::{Error, Result};

/// What a row says about its picture.
pub(super) struct Record {
    pub table: Arc<Path>,
    /// Line in the table, from 1.
    pub line: u64,
    pub file: PathBuf,
    pub part: Option<Part>,
    pub target: Target,
    pub group: Option<String>,
}

/// The contents of some tables.
#[derive(Default)]
pub(super) struct Records {
    pub all: Vec<Record>,
    /// The labels' names; empty for classes.
    pub names: Vec<String>,
    /// Notes on how columns were interpreted, and what was skipped.
    pub notes: Vec<String>,
}

impl Records {
    /// Reads the tables, which must have the same labels; all except the first may have none, and are then skipped.
    pub fn read(sources: &[Source], options: &TableOptions) -> Result<Self> {
        let mut records = Self::default();
        sources.iter().try_for_each(|source| records.add(source, options))?;
        Ok(records)
    }

    fn add(&mut self, source: &Source, options: &TableOptions) -> Result<()> {
        let table = Table::read(&source.path)?;
        let Some(columns) = Columns::of(&table, options)? else {
            return self.unlabelled(&table);
        };
        let names = columns.names(&table);
        if !self.all.is_empty() && names != self.names {
            let reason = format!("its labels are {}; those of the training pictures are ", listed(&names));
            return Err(Error::format(&table.path, reason + &listed(&self.names)));
        }
        self.notes.extend(notes(&table, &columns, &names, options));
        self.names = names;
        let mut reading = Reading::new(source, &table, &columns, options)?;
        for row in &table.rows {
            self.all.push(reading.record(row)?);
        }
        Ok(())
    }

    fn unlabelled(&mut self, table: &Table) -> Result<()> {
        if self.all.is_empty() {
            let reason = "no column tells what the pictures show; name a column of classes with --label-column, or \
                          columns of 0 and 1 with --label-columns";
            let strays = (0..table.columns.len()).filter_map(|column| table.stray(column));
            let parts: Vec<String> = std::iter::once(table.listed()).chain(strays).collect();
            return Err(Error::format(&table.path, format!("{reason}; its columns are {}", parts.join("; "))));
        }
        self.notes.push(format!("{} has no labels and is skipped", table.path.display()));
        Ok(())
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "classes".into() } else { names.join(", ") }
}

/// Notes on which columns are used as labels and which are not, where the columns' names do not say, and why a column
/// that nearly looks like a label is not used.
fn notes(table: &Table, columns: &Columns, names: &[String], options: &TableOptions) -> Vec<String> {
    if columns.form != Form::Plain || names.is_empty() {
        return Vec::new();
    }
    let (path, left_out) = (table.path.display(), columns.left_out(table));
    let told: Vec<String> = left_out.iter().map(|&column| table.told(column)).collect();
    let rest = if told.is_empty() { String::new() } else { format!("; left out: {}", told.join(", ")) };
    let mut notes = vec![format!("{path}: the labels are {}{rest}", names.join(", "))];
    if options.label_columns.is_empty() {
        let strays = left_out.into_iter().filter_map(|column| table.stray(column));
        notes.extend(strays.map(|stray| format!("{path}: {stray}")));
    }
    notes
}

/// The state of reading a table's rows.
struct Reading<'a> {
    source: &'a Source,
    table: &'a Table,
    columns: &'a Columns,
    options: &'a TableOptions,
    path: Arc<Path>,
    root: Root,
    lists: Option<Lists>,
}

impl<'a> Reading<'a> {
    fn new(source: &'a Source, table: &'a Table, columns: &'a Columns, options: &'a TableOptions) -> Result<Self> {
        let folder = table.path.parent().unwrap_or(Path::new(""));
        let lists = match columns.form {
            Form::ChestXray14 => Lists::in_folder(folder)?,
            Form::Plain | Form::CheXpert => None,
        };
        let root = Root::new(options.images.as_deref().unwrap_or(folder))?;
        Ok(Self { source, table, columns, options, path: table.path.as_path().into(), root, lists })
    }

    fn record(&mut self, row: &Row) -> Result<Record> {
        let text = &row.values[self.columns.path];
        let file = match self.columns.form {
            Form::Plain => self.root.place(text),
            Form::CheXpert => self.root.place_chexpert(text),
            Form::ChestXray14 => self.root.place_by_name(text),
        };
        let file = file.map_err(|reason| self.table.error(row, reason))?;
        let target = self.columns.target(self.table, row, self.options)?;
        let (part, group) = (self.part(row, text)?, self.group(row, text)?);
        Ok(Record { table: self.path.clone(), line: row.line, file, part, target, group })
    }

    fn part(&self, row: &Row, path: &str) -> Result<Option<Part>> {
        if let (Some(column), None) = (self.columns.split, self.source.part) {
            let word = &row.values[column];
            return Part::named(word).map(Some).ok_or_else(|| {
                let name = &self.table.columns[column];
                let reason = format!("{word:?} in column {name}; use train, val (valid, validation) or test");
                self.table.error(row, reason)
            });
        }
        if let Some(lists) = &self.lists {
            return lists.part(path).map(Some).map_err(|reason| self.table.error(row, reason));
        }
        let of_folder =
            || path.split_once('/').filter(|_| self.source.by_folder).and_then(|(first, _)| Part::named(first));
        Ok(self.source.part.or_else(of_folder))
    }

    fn group(&self, row: &Row, path: &str) -> Result<Option<String>> {
        let (group, of) = match self.columns.group {
            None => return Ok(None),
            Some(Group::Column(column)) => (&row.values[column], self.table.columns[column].as_str()),
            Some(Group::PatientFolder) => (patient(path).unwrap_or_default(), "Path (patient00001)"),
        };
        if group.is_empty() {
            return Err(self
                .table
                .error(row, format!("no group in column {of}; give the picture one, or remove its row")));
        }
        Ok(Some(group.into()))
    }
}

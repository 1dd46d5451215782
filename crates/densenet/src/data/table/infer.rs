//! Which columns of a table tell what: by their names and values, or as the options say.

use super::TableOptions;
use super::chest::{chest_xray14, chexpert};
use super::columns::{Columns, Form, Group, Labels};
use super::rows::Table;
use super::value::Known;
use crate::{Error, Result};

/// Names of a column of paths, in small letters.
const PATHS: [&str; 8] = ["path", "file", "filename", "file_name", "file_path", "filepath", "image", "image_path"];

/// Names of a column of classes, in small letters.
const CLASSES: [&str; 3] = ["label", "class", "target"];

/// Names of a column of parts, in small letters.
const SPLITS: [&str; 2] = ["split", "fold"];

impl Columns {
    /// Those of `table`, or none where no column tells what the pictures show.
    pub fn of(table: &Table, options: &TableOptions) -> Result<Option<Self>> {
        let (chest, chosen) = (chexpert(table).or_else(|| chest_xray14(table)), chosen(table, options)?);
        let columns = match chest {
            Some(chest) => Self { labels: chosen.unwrap_or(chest.labels), ..chest },
            None => {
                let path = path(table, options)?;
                let labels = chosen.map_or_else(|| inferred(table, path, options), |labels| Ok(Some(labels)))?;
                let Some(labels) = labels else { return Ok(None) };
                Self { form: Form::Plain, path, labels, no_finding: None, split: None, group: None }
            }
        };
        let named = |name: &Option<String>, option| name.as_ref().map(|name| table.named(name, option)).transpose();
        Ok(Some(Self {
            path: named(&options.path_column, "--path-column")?.unwrap_or(columns.path),
            group: named(&options.group_by, "--group-by")?.map(Group::Column).or(columns.group),
            split: table.one_of(&SPLITS, "the part", "rename all but one")?,
            ..columns
        }))
    }
}

/// The column of paths.
fn path(table: &Table, options: &TableOptions) -> Result<usize> {
    if let Some(name) = &options.path_column {
        return table.named(name, "--path-column");
    }
    table.one_of(&PATHS, "the path", "say which with --path-column")?.ok_or_else(|| {
        let reason = format!("no column of paths ({}); name one with --path-column", PATHS.join(", "));
        Error::format(&table.path, format!("{reason}; its columns are {}", table.columns.join(", ")))
    })
}

/// The labels that the options name.
fn chosen(table: &Table, options: &TableOptions) -> Result<Option<Labels>> {
    let wrong = |reason: String| Err(Error::format(&table.path, reason));
    let names = &options.label_columns;
    if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return wrong(format!("--label-columns names {name} twice"));
    }
    match &options.label_column {
        Some(_) if !names.is_empty() => {
            let reason = "--label-column is for one class a picture, --label-columns for any number of labels";
            wrong(format!("{reason}; give one of the two"))
        }
        Some(name) => table.named(name, "--label-column").map(|column| Some(Labels::Class(column))),
        None if names.is_empty() => Ok(None),
        None => {
            let columns = names.iter().map(|name| table.named(name, "--label-columns")).collect::<Result<_>>()?;
            Ok(Some(Labels::Each(columns)))
        }
    }
}

/// A column of classes by its name, or all the other columns of 0 and 1.
fn inferred(table: &Table, path: usize, options: &TableOptions) -> Result<Option<Labels>> {
    if let Some(column) = table.one_of(&CLASSES, "the class", "say which with --label-column")? {
        return Ok(Some(Labels::Class(column)));
    }
    let is_other = |&column: &usize| {
        let name = &table.columns[column];
        column != path && !name.is_empty() && options.group_by.as_ref() != Some(name) && !is_any(name, &SPLITS)
    };
    let columns: Vec<usize> = (0..table.columns.len()).filter(is_other).filter(|&c| table.is_of_labels(c)).collect();
    Ok((!columns.is_empty()).then_some(Labels::Each(columns)))
}

impl Table {
    /// The place of the column whose name `option` gives.
    fn named(&self, name: &str, option: &str) -> Result<usize> {
        self.column(name).ok_or_else(|| {
            let reason = format!("no column {name} ({option}); its columns are {}", self.columns.join(", "));
            Error::format(&self.path, reason)
        })
    }

    /// The one column with one of those names, in whatever letters; more than one may tell `what`, and `remedy` helps.
    fn one_of(&self, names: &[&str], what: &str, remedy: &str) -> Result<Option<usize>> {
        let found: Vec<usize> = (0..self.columns.len()).filter(|&c| is_any(&self.columns[c], names)).collect();
        if found.len() < 2 {
            return Ok(found.first().copied());
        }
        let found: Vec<&str> = found.into_iter().map(|column| self.columns[column].as_str()).collect();
        let reason = format!("the columns {} may each hold {what}; {remedy}", found.join(" and "));
        Err(Error::format(&self.path, reason))
    }

    /// Whether a column holds 0 and 1, -1 and blanks alone, and not only what is unknown.
    fn is_of_labels(&self, column: usize) -> bool {
        let mut values = self.rows.iter().map(|row| Known::read(&row.values[column]));
        values.clone().all(|value| value.is_some()) && values.any(|value| matches!(value, Some(Known::Yes | Known::No)))
    }
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

//! What the columns of a table mean: by their names and values, or as the options say.

use super::TableOptions;
use super::chest::{FINDINGS, chest_xray14, chexpert, finding};
use super::columns::{Columns, Form, Group, Labels};
use super::rows::{Row, Table};
use super::value::{Known, VALUES};
use crate::{Error, Result};

/// Names of a path column, in lower case.
const PATHS: [&str; 8] = ["path", "file", "filename", "file_name", "file_path", "filepath", "image", "image_path"];

/// Names of a class column, in lower case.
const CLASSES: [&str; 3] = ["label", "class", "target"];

/// Names of a part column, in lower case.
const SPLITS: [&str; 2] = ["split", "fold"];

/// A column still looks like a label column if at most one in this many values is not a label value.
const STRAY: usize = 10;

impl Columns {
    /// The columns of `table`, or `None` if no column says what the pictures show.
    pub fn of(table: &Table, options: &TableOptions) -> Result<Option<Self>> {
        let chest = chexpert(table).or_else(|| chest_xray14(table));
        let chosen = chosen(table, options, chest.as_ref())?;
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

/// The path column.
fn path(table: &Table, options: &TableOptions) -> Result<usize> {
    if let Some(name) = &options.path_column {
        return table.named(name, "--path-column");
    }
    table.one_of(&PATHS, "the path", "say which with --path-column")?.ok_or_else(|| {
        let reason = format!("no path column ({}); name one with --path-column", PATHS.join(", "));
        Error::format(&table.path, format!("{reason}; its columns are {}", table.listed()))
    })
}

/// The labels named by the options, for a table that is `chest`'s if any.
fn chosen(table: &Table, options: &TableOptions, chest: Option<&Columns>) -> Result<Option<Labels>> {
    let wrong = |reason: String| Err(Error::format(&table.path, reason));
    let names: Vec<&str> = options.label_columns.iter().map(|name| name.trim()).collect();
    if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return wrong(format!("--label-columns names {name} twice"));
    }
    match &options.label_column {
        Some(_) if !names.is_empty() => {
            let reason = "--label-column is for one class per picture, --label-columns for any number of labels";
            wrong(format!("{reason}; give only one of the two"))
        }
        Some(name) => table.named(name, "--label-column").map(|column| Some(Labels::Class(column))),
        None if names.is_empty() => Ok(None),
        None => several(table, &names, chest).map(Some),
    }
}

/// The labels with these names: columns of 0 and 1, or findings where `chest` has a column of them.
fn several(table: &Table, names: &[&str], chest: Option<&Columns>) -> Result<Labels> {
    let column = match chest.map(|chest| &chest.labels) {
        Some(&Labels::Findings(column, _)) if names.iter().any(|name| table.column(name).is_none()) => column,
        _ => {
            let columns = names.iter().map(|name| table.named(name, "--label-columns"));
            return columns.collect::<Result<_>>().map(Labels::Each);
        }
    };
    let found = |name: &&str| {
        finding(name).ok_or_else(|| {
            let reason = format!("no finding {name} (--label-columns); ChestX-ray14's are {}", FINDINGS.join(", "));
            Error::format(&table.path, reason)
        })
    };
    names.iter().map(found).collect::<Result<_>>().map(|findings| Labels::Findings(column, findings))
}

/// A class column by its name, or all other columns of 0 and 1.
fn inferred(table: &Table, path: usize, options: &TableOptions) -> Result<Option<Labels>> {
    if let Some(column) = table.one_of(&CLASSES, "the class", "say which with --label-column")? {
        return Ok(Some(Labels::Class(column)));
    }
    let group = options.group_by.as_ref().and_then(|name| table.column(name));
    let is_other = |&column: &usize| {
        let name = &table.columns[column];
        column != path && !name.is_empty() && group != Some(column) && !is_any(name, &SPLITS)
    };
    let columns: Vec<usize> = (0..table.columns.len()).filter(is_other).filter(|&c| table.is_of_labels(c)).collect();
    Ok((!columns.is_empty()).then_some(Labels::Each(columns)))
}

impl Table {
    /// The index of the column named by `option`.
    fn named(&self, name: &str, option: &str) -> Result<usize> {
        self.column(name).ok_or_else(|| {
            let reason = format!("no column {} ({option}); its columns are {}", name.trim(), self.listed());
            Error::format(&self.path, reason)
        })
    }

    /// The only column with one of these names, in upper or lower case. If there are several, the error says that each
    /// may hold `what`, and suggests `remedy`.
    fn one_of(&self, names: &[&str], what: &str, remedy: &str) -> Result<Option<usize>> {
        let found: Vec<usize> = (0..self.columns.len()).filter(|&c| is_any(&self.columns[c], names)).collect();
        if found.len() < 2 {
            return Ok(found.first().copied());
        }
        let found: Vec<&str> = found.into_iter().map(|column| self.columns[column].as_str()).collect();
        let reason = format!("the columns {} may each hold {what}; {remedy}", found.join(" and "));
        Err(Error::format(&self.path, reason))
    }

    /// Whether a column holds only 0, 1, -1 and blanks, and not only unknown values.
    fn is_of_labels(&self, column: usize) -> bool {
        self.has_known(column) && self.strays(column).next().is_none()
    }

    /// Why a column is not a label column, if nearly all of its values fit one.
    pub fn stray(&self, column: usize) -> Option<String> {
        let name = &self.columns[column];
        if name.is_empty() || self.strays(column).count() * STRAY > self.rows.len() || !self.has_known(column) {
            return None;
        }
        let Row { line, values } = self.strays(column).next()?;
        let reason = format!("line {line}: {} in column {name}, which is left out because of it", &values[column]);
        Some(format!("{reason}; {VALUES}; name {name} in --label-columns to make it a label and refuse other values"))
    }

    /// Whether a column holds any 0 or 1.
    fn has_known(&self, column: usize) -> bool {
        self.rows.iter().any(|row| matches!(Known::read(&row.values[column]), Some(Known::Yes | Known::No)))
    }

    /// The rows whose value in a column is neither 0, 1, -1 nor blank.
    fn strays(&self, column: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| Known::read(&row.values[column]).is_none())
    }
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

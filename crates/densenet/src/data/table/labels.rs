//! What a row says its picture shows.

use super::TableOptions;
use super::chest::{DEVICES, FINDINGS, finding, label_name};
use super::columns::{Columns, Form, Labels};
use super::rows::{Row, Table};
use super::value::{Known, VALUES};
use crate::Result;

/// What a picture shows.
pub(super) enum Target {
    /// A class, by name.
    Class(String),
    /// Whether it has each of the labels; `None` if not known.
    Labels(Vec<Option<bool>>),
}

impl Columns {
    /// The labels' names; empty for classes, which are named by the rows.
    pub fn names(&self, table: &Table) -> Vec<String> {
        match &self.labels {
            Labels::Class(_) => Vec::new(),
            Labels::Each(columns) if self.form == Form::CheXpert => {
                columns.iter().map(|&column| label_name(&table.columns[column]).into()).collect()
            }
            Labels::Each(columns) => columns.iter().map(|&column| table.columns[column].clone()).collect(),
            Labels::Findings(_, findings) => findings.iter().map(|finding| finding.to_string()).collect(),
        }
    }

    /// What the picture in a row shows.
    pub fn target(&self, table: &Table, row: &Row, options: &TableOptions) -> Result<Target> {
        let columns = match &self.labels {
            &Labels::Class(column) => return class(table, row, column).map(Target::Class),
            Labels::Findings(column, labels) => return findings(table, row, *column, labels).map(Target::Labels),
            Labels::Each(columns) => columns,
        };
        let healthy = self.no_finding.is_some_and(|column| Known::read(&row.values[column]) == Some(Known::Yes));
        let label = |&column: &usize| {
            let of_no_finding = self.no_finding == Some(column);
            if healthy && !of_no_finding && table.columns[column] != DEVICES {
                return Ok(Some(false));
            }
            Ok(match known(table, row, column)? {
                // CheXpert leaves it blank where there are findings.
                Known::Blank if of_no_finding => Some(false),
                value => value.meaning(options),
            })
        };
        columns.iter().map(label).collect::<Result<_>>().map(Target::Labels)
    }
}

fn class(table: &Table, row: &Row, column: usize) -> Result<String> {
    let class = &row.values[column];
    if class.is_empty() || class.eq_ignore_ascii_case("nan") {
        let reason = format!("no class in column {}; give the picture one, or remove its row", table.columns[column]);
        return Err(table.error(row, reason));
    }
    Ok(class.into())
}

fn known(table: &Table, row: &Row, column: usize) -> Result<Known> {
    let text = &row.values[column];
    Known::read(text).ok_or_else(|| {
        let name = &table.columns[column];
        table.error(row, format!("{text} in column {name}; {VALUES}"))
    })
}

/// Which of the `labels` are in a text such as `Cardiomegaly|Effusion` or `No Finding`.
fn findings(table: &Table, row: &Row, column: usize, labels: &[&str]) -> Result<Vec<Option<bool>>> {
    let text = &row.values[column];
    let found: Vec<&str> = text.split('|').map(str::trim).collect();
    match found.iter().find(|name| finding(name).is_none()) {
        Some(stray) => {
            let reason = format!("{stray:?} is not a finding of ChestX-ray14; they are {}", FINDINGS.join(", "));
            Err(table.error(row, reason))
        }
        None => Ok(labels.iter().map(|label| Some(found.contains(label))).collect()),
    }
}

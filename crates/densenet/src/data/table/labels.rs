//! What a row says that its picture shows.

use super::TableOptions;
use super::chest::{DEVICES, FINDINGS, label_name};
use super::columns::{Columns, Form, Labels};
use super::rows::{Row, Table};
use super::value::Known;
use crate::Result;

/// What a picture shows.
pub(super) enum Target {
    /// A class, by name.
    Class(String),
    /// Whether it has each of the labels; none where that is not known.
    Labels(Vec<Option<bool>>),
}

impl Columns {
    /// The labels' names; none for classes, which the rows name.
    pub fn names(&self, table: &Table) -> Vec<String> {
        match &self.labels {
            Labels::Class(_) => Vec::new(),
            Labels::Each(columns) if self.form == Form::CheXpert => {
                columns.iter().map(|&column| label_name(&table.columns[column]).into()).collect()
            }
            Labels::Each(columns) => columns.iter().map(|&column| table.columns[column].clone()).collect(),
            Labels::Findings(_) => FINDINGS.map(String::from).into(),
        }
    }

    /// What the picture of a row shows.
    pub fn target(&self, table: &Table, row: &Row, options: &TableOptions) -> Result<Target> {
        let columns = match &self.labels {
            &Labels::Class(column) => return class(table, row, column).map(Target::Class),
            &Labels::Findings(column) => return findings(table, row, column).map(Target::Labels),
            Labels::Each(columns) => columns,
        };
        let healthy = self.no_finding.is_some_and(|column| Known::read(&row.values[column]) == Some(Known::Yes));
        let label = |&column: &usize| match healthy && table.columns[column] != DEVICES {
            true => Ok(Some(false)),
            false => Ok(known(table, row, column)?.meaning(options)),
        };
        columns.iter().map(label).collect::<Result<_>>().map(Target::Labels)
    }
}

fn class(table: &Table, row: &Row, column: usize) -> Result<String> {
    let class = &row.values[column];
    if class.is_empty() || class.eq_ignore_ascii_case("nan") {
        let reason = format!("no class in column {}; give the picture one, or take its row out", table.columns[column]);
        return Err(table.error(row, reason));
    }
    Ok(class.into())
}

fn known(table: &Table, row: &Row, column: usize) -> Result<Known> {
    let text = &row.values[column];
    Known::read(text).ok_or_else(|| {
        let name = &table.columns[column];
        table.error(row, format!("{text} in column {name}; a label is 1 or 0, -1 if uncertain, blank if not known"))
    })
}

/// `Cardiomegaly|Effusion`, or `No Finding`.
fn findings(table: &Table, row: &Row, column: usize) -> Result<Vec<Option<bool>>> {
    let text = &row.values[column];
    let found: Vec<&str> = text.split('|').map(str::trim).filter(|&finding| finding != "No Finding").collect();
    match found.iter().find(|finding| !FINDINGS.contains(finding)) {
        Some(stray) => {
            let reason = format!("{stray:?} is no finding of ChestX-ray14; they are {}", FINDINGS.join(", "));
            Err(table.error(row, reason))
        }
        None => Ok(FINDINGS.iter().map(|finding| Some(found.contains(finding))).collect()),
    }
}

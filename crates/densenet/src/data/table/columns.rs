//! The columns of a table of pictures.

use super::rows::Table;

/// The columns of a table that are used, by index.
pub(super) struct Columns {
    pub form: Form,
    pub path: usize,
    pub labels: Labels,
    /// Where it is 1, a picture has no label except a device's.
    pub no_finding: Option<usize>,
    pub split: Option<usize>,
    pub group: Option<Group>,
}

/// Whose table it is, which determines where the pictures are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Plain,
    CheXpert,
    ChestXray14,
}

/// The columns that say what a picture shows.
pub(super) enum Labels {
    /// A column of classes.
    Class(usize),
    /// A column of 0 and 1 for each label.
    Each(Vec<usize>),
    /// A column of ChestX-ray14's findings, joined by `|`, and those of them that are used as labels.
    Findings(usize, Vec<&'static str>),
}

/// How groups of pictures that must stay together are given.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Group {
    Column(usize),
    /// The patient folder in CheXpert's paths.
    PatientFolder,
}

impl Columns {
    /// The columns of `table` that are not used.
    pub fn left_out(&self, table: &Table) -> Vec<usize> {
        let labels: &[usize] = match &self.labels {
            Labels::Class(column) | Labels::Findings(column, _) => &[*column],
            Labels::Each(columns) => columns,
        };
        let taken = |column| {
            labels.contains(&column)
                || [Some(self.path), self.no_finding, self.split].contains(&Some(column))
                || self.group == Some(Group::Column(column))
        };
        (0..table.columns.len()).filter(|&column| !taken(column)).collect()
    }
}

impl Table {
    /// The index of the column with exactly this name, except for blanks around it.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.trim() == name.trim())
    }

    /// A column's name for messages.
    pub fn told(&self, column: usize) -> String {
        match self.columns[column].as_str() {
            "" => format!("column {} (unnamed)", column + 1),
            name => name.into(),
        }
    }

    /// All columns for messages, and what seems to separate their names if it is not a comma.
    pub fn listed(&self) -> String {
        let columns: Vec<String> = (0..self.columns.len()).map(|column| self.told(column)).collect();
        let is_between = |mark: char| self.columns.len() == 1 && self.columns[0].contains(mark);
        let marks = [(';', "semicolons"), ('\t', "tabs")].into_iter().find(|&(mark, _)| is_between(mark));
        let right = |(_, marks): (char, &str)| format!("; a table must separate its values with commas, not {marks}");
        columns.join(", ") + &marks.map_or(String::new(), right)
    }
}

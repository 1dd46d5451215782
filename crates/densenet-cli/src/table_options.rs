//! How a table of pictures is read, as options of the command line.

use std::path::PathBuf;

use clap::Args;
use densenet::data::{Blank, TableOptions, Uncertain};
use serde::Serialize;

use crate::word::word;

/// [`TableOptions`] as options; serialised, they hold only those that were given.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Tables of pictures")]
pub struct TableArgs {
    /// Folder that a table's paths are relative to, and that must hold all pictures [default: the table's own]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Column of a table that holds the paths [default: found by its name, such as path or file_name]
    #[arg(long, value_name = "COLUMN")]
    path_column: Option<String>,
    /// Column of a table that holds the classes [default: found by its name, such as label or class]
    #[arg(long, value_name = "COLUMN", conflicts_with = "label_columns")]
    label_column: Option<String>,
    /// Columns of a table that hold 0 or 1, one label each [default: all columns that hold nothing else]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    label_columns: Vec<String>,
    /// What -1 in a column of 0 and 1 means: ignore (not known), zero or one [default: ignore]
    #[arg(long, value_name = "WORD", value_parser = word::<Uncertain>)]
    uncertain: Option<Uncertain>,
    /// What a blank in a column of 0 and 1 means: ignore (not known) or zero [default: ignore]
    #[arg(long, value_name = "WORD", value_parser = word::<Blank>)]
    blank: Option<Blank>,
    /// Column of a table, such as a patient or a burst, whose equal values stay in one part [default: none; the patient
    /// in chest X-ray sets]
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
}

impl TableArgs {
    /// The options, with defaults for those that were not given.
    pub fn options(&self) -> TableOptions {
        TableOptions {
            images: self.images.clone(),
            path_column: self.path_column.clone(),
            label_column: self.label_column.clone(),
            label_columns: self.label_columns.clone(),
            uncertain: self.uncertain.unwrap_or_default(),
            blank: self.blank.unwrap_or_default(),
            group_by: self.group_by.clone(),
        }
    }
}

//! How a table of pictures is read, as options of the command line.

use std::path::PathBuf;

use clap::Args;
use densenet::data::{Blank, TableOptions, Uncertain};
use serde::Serialize;

use crate::word::word;

/// [`TableOptions`] as options; serialised, they are those that were given.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Tables of pictures")]
pub struct TableArgs {
    /// Folder that the paths of a table begin in, and that must hold all pictures [default: the table's own]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Column of a table that holds the paths [default: told by its name, as path or file_name]
    #[arg(long, value_name = "COLUMN")]
    path_column: Option<String>,
    /// Column of a table that holds the classes [default: told by its name, as label or class]
    #[arg(long, value_name = "COLUMN", conflicts_with = "label_columns")]
    label_column: Option<String>,
    /// Columns of a table that hold 0 or 1, a label each [default: all that hold nothing else]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    label_columns: Vec<String>,
    /// What -1 in a column of 0 and 1 means: ignore (not known), zero or one [default: ignore]
    #[arg(long, value_name = "WORD", value_parser = word::<Uncertain>)]
    uncertain: Option<Uncertain>,
    /// What a blank in a column of 0 and 1 means: ignore (not known) or zero [default: ignore]
    #[arg(long, value_name = "WORD", value_parser = word::<Blank>)]
    blank: Option<Blank>,
    /// Column of a table whose equal values, as of a patient or a burst, stay in one part [default: none; the patient
    /// in chest X-ray sets]
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
}

impl TableArgs {
    /// The options, those that were not given as they are by default.
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

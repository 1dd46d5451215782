//! Data sets with their classes, as options of the command line.

use anyhow::Result;
use clap::Args;
use densenet::data::DataSet;

use crate::data_dir::DataDir;
use crate::table_options::TableArgs;

/// Where data sets are, and how tables of pictures among them are read.
#[derive(Args)]
pub struct DataOptions {
    #[command(flatten)]
    pub data_dir: DataDir,
    #[command(flatten)]
    table: TableArgs,
}

impl DataOptions {
    /// Opens the data set `name`; see [`DataDir::open`].
    pub fn open(&self, name: &str) -> Result<DataSet> {
        self.data_dir.open(name, &self.table.options())
    }
}

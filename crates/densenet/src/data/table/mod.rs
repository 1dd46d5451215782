//! Sets of pictures listed in tables: `path,label`, columns of 0 and 1, the chest X-ray sets, Hugging Face's
//! `metadata.csv`.

mod assemble;
mod chest;
mod columns;
mod infer;
mod labels;
mod lines;
mod lists;
mod options;
mod place;
mod records;
mod rows;
mod sources;
mod value;

use std::path::Path;

pub use options::{Blank, TableOptions, Uncertain};
pub(super) use sources::{Source, in_folder, is_table, of_file};

use super::parts::Parts;
use crate::Result;

/// Whether a table has path and label columns that are recognised without options.
pub(super) fn is_of_pictures(source: &Source) -> Result<bool> {
    let table = rows::Table::read(&source.path)?;
    Ok(matches!(columns::Columns::of(&table, &TableOptions::default()), Ok(Some(_))))
}

/// Reads the tables of one set, which is in `folder`.
pub(super) fn parts(sources: &[Source], folder: &Path, options: &TableOptions) -> Result<Parts> {
    let records = records::Records::read(sources, options)?;
    let root = options.images.as_deref().unwrap_or(folder);
    assemble::parts(&sources[0].path, root, records)
}

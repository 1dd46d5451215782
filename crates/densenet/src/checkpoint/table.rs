//! The table of a file's tensors that an error shows.

use super::modules::{Kind, Modules};
use super::stored::Stored;

/// Rows shown at most; more would push the message above them out of sight.
const MOST_ROWS: usize = 400;

/// A row per tensor that belongs to no module, then a row per module.
pub(super) fn of(tensors: &[Stored], modules: &Modules) -> String {
    let left_over = modules.left_over.iter().map(|&index| {
        let Stored { name, dtype, shape } = &tensors[index];
        (name.as_str(), format!("{dtype:?} {shape:?}"), "left over")
    });
    let taken = modules.list.iter().map(|module| {
        let shape = format!("{:?}", tensors[module.weight].shape);
        let kind = match module.kind {
            Kind::Conv { .. } => "convolution",
            Kind::Norm { .. } => "batch-norm",
            Kind::Linear { .. } => "linear layer",
        };
        (module.name.as_str(), shape, kind)
    });
    let rows: Vec<_> = left_over.chain(taken).collect();
    let width = rows.iter().take(MOST_ROWS).map(|(name, ..)| name.chars().count()).max().unwrap_or(0).min(80);
    let mut lines: Vec<String> = rows
        .iter()
        .take(MOST_ROWS)
        .map(|(name, shape, what)| format!("  {name:<width$}  {shape:<20}  {what}"))
        .collect();
    if rows.len() > MOST_ROWS {
        lines.push(format!("  and {} more", rows.len() - MOST_ROWS));
    }
    lines.join("\n")
}

//! References to training pictures, with a progress bar.

use std::ops::ControlFlow;

use anyhow::Result;
use densenet::data::DataSet;
use densenet::novelty::{MOST_PICTURES, Reference};
use densenet::{Card, DenseNet};
use indicatif::{ProgressBar, ProgressStyle};

/// The reference of `network`, which `card` describes, to the training part of `data`, with the reach of the part that
/// chooses; none where it is `interrupted`.
///
/// # Errors
/// Those of [`Reference::of_pictures`].
pub fn reference(
    network: &DenseNet,
    card: &Card,
    data: &DataSet,
    interrupted: impl Fn() -> bool,
) -> Result<Option<Reference>> {
    let parts = [&data.train, data.chooses()];
    let pictures: usize = parts.iter().map(|part| part.len().min(MOST_PICTURES)).sum();
    let style = ProgressStyle::with_template("reference {bar:30} {pos}/{len}  {per_sec}  {eta} left");
    let bar = ProgressBar::new(pictures as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let found = Reference::of_pictures(network, card, &data.name, parts, |seen| {
        bar.set_position(seen as u64);
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    Ok(found?)
}

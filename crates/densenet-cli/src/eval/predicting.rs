//! What networks predict of labelled pictures.

use std::ops::ControlFlow;

use anyhow::{Result, anyhow, bail};
use densenet::data::{Split, Targets, Views};
use densenet::evaluation::{Predictions, predictions};
use indicatif::{ProgressBar, ProgressStyle};

use crate::networks::Networks;
use crate::output::Misuse;

/// The pictures of `split`, a part of `data`, with the labels of the weights, matched by name; those of the data where the
/// weights have none.
///
/// # Errors
/// Classes that are not those of the weights, and labels where classes are expected.
pub fn labelled(networks: &Networks, data: &str, split: Split) -> Result<Split> {
    let (known, count) = (&networks.card().labels, networks.card().config.num_classes);
    let found = split.classes().to_vec();
    if matches!(split.targets(), Targets::Labels(_)) && !networks.card().output().is_independent() {
        let reason = "has labels that are independent of each other; the outputs of these weights are mutually \
                      exclusive, unless --output sigmoid says that they are not";
        return Err(Misuse(format!("{data} {reason}")).into());
    }
    if known.is_empty() && found.len() != count {
        bail!("{data} has {} classes; these weights know {count}", found.len());
    }
    // Names may occur twice, and are then told apart only by their places.
    if known.is_empty() || *known == found {
        return Ok(split);
    }
    split.relabelled(known).map_err(|stray| match found.iter().zip(known).position(|(name, _)| *name == stray) {
        Some(class) if found.len() == count => {
            anyhow!("class {class} of {data} is {stray}; these weights know it as {}", known[class])
        }
        _ => anyhow!("{data} has a class {stray}, which is not among the {count} that these weights know"),
    })
}

/// What `networks` predict of the pictures of `split`, `batch` inputs at a time, with a bar of the time left.
///
/// # Errors
/// Those of [`predictions()`].
pub fn predict(networks: &Networks, split: &Split, views: Views, batch: usize) -> Result<Predictions> {
    let style = ProgressStyle::with_template("evaluating {bar:30} {pos}/{len}  {per_sec}  {eta} left");
    let bar = ProgressBar::new(split.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (ensemble, preprocessing) = (networks.ensemble()?, networks.preprocessing()?);
    let found = predictions(&ensemble, split, preprocessing, views, batch, |images| {
        bar.set_position(images);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    found.ok_or_else(|| anyhow!("the evaluation was ended"))
}

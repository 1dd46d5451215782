//! `densenet train --find-lr`.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use densenet::training::find_lr::{STEPS, Tried, find_lr, still_falls, suggested};
use indicatif::{ProgressBar, ProgressStyle};

use super::begin::Prepared;
use super::running::How;
use crate::{output, report};

/// The page of a search in a run's folder.
const PAGE: &str = "find-lr.html";

/// Rows of the printed table, at most.
const ROWS: usize = 16;

/// Width of the longest bar, in characters.
const WIDTH: f64 = 40.0;

/// Searches for the learning rate of a run that would be in `folder`, prints the loss by rate, and writes a page about
/// it there; returns whether it was not interrupted.
pub fn search(prepared: Prepared, folder: &Path, how: &How) -> Result<bool> {
    let Prepared { recipe, data, card, network } = prepared;
    let style = ProgressStyle::with_template("searching {bar:30} {pos}/{len}  {msg}  {eta} left");
    let bar = ProgressBar::new(STEPS as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let tried = find_lr(network, &card, &recipe.training, &data.train, |tried| {
        bar.inc(1);
        bar.set_message(format!("rate {:.1e}, loss {:.3}", tried.lr, tried.loss));
        if how.interrupted.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    let Some(rate) = suggested(&tried).filter(|_| !how.interrupted.load(Ordering::SeqCst)) else { return Ok(false) };
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let page = folder.join(PAGE);
    report::rates(&page, &tried, rate)?;
    let text = format!("{}\nsuggested: --lr {rate:.2e}\nas a page: {}\n", told(&tried), page.display());
    output::print(&text)?;
    if let Some(doubt) = doubt(&tried, recipe.training.lr) {
        output::note(doubt);
    }
    Ok(true)
}

/// What to say about the suggested rate where the search found no lowest loss; `usual` is the recipe's own.
fn doubt(tried: &[Tried], usual: f64) -> Option<String> {
    let why =
        "the loss was still falling at the highest rate tried; where it is lowest is not known, so this is a guess";
    still_falls(tried).then(|| format!("{why}: compare a run with it and one with the recipe's own --lr {usual}"))
}

/// Every few rates with their losses, smoothed, as bars.
fn told(tried: &[Tried]) -> String {
    let highest = tried.iter().map(|tried| tried.smoothed).fold(0.0, f64::max);
    let header = ["rate", "loss", ""].map(String::from).to_vec();
    let rows = tried.iter().step_by(tried.len().div_ceil(ROWS)).map(|tried| {
        let bar = "#".repeat((WIDTH * tried.smoothed / highest).round() as usize);
        vec![format!("{:.1e}", tried.lr), format!("{:.3}", tried.smoothed), bar]
    });
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_without_a_lowest_loss_says_so() {
        let of = |loss: fn(usize) -> f64| -> Vec<Tried> {
            (0..STEPS).map(|step| Tried { lr: 0.1, loss: loss(step), smoothed: loss(step) }).collect()
        };
        let said = doubt(&of(|step| 100.0 - step as f64), 0.02).unwrap();
        assert!(said.starts_with("the loss was still falling at the highest rate tried; "), "{said}");
        assert!(said.ends_with("and one with the recipe's own --lr 0.02"), "{said}");
        assert_eq!(doubt(&of(|step| (step as f64 - 60.0).abs()), 0.02), None);
    }
}

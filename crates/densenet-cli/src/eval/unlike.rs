//! How well pictures of other data sets are told apart from those of the data.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use densenet::data::{Split, TableOptions};
use densenet::novelty::scores::Separation;
use densenet::novelty::{Scores, scores_of};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::model::Model;
use crate::output::{self, count, counted};
use crate::pictures;

/// What is reported about pictures that are not from the data.
#[derive(Serialize)]
pub struct Unlike {
    /// The data set.
    data: String,
    pictures: usize,
    /// The share of them that is marked as unlike the training pictures; none without a reference to these.
    marked: Option<f64>,
    /// The same share of the pictures of the data themselves.
    own_marked: Option<f64>,
    /// How well each score tells them apart from those of the data.
    scores: Vec<Row>,
}

/// How well a score does.
#[derive(Serialize)]
struct Row {
    score: &'static str,
    #[serde(flatten)]
    separation: Separation,
}

/// Tells the pictures of each of `others` apart from those of `own`.
///
/// # Errors
/// Data that cannot be read, or that the network cannot take.
pub fn unlike(model: &Model, own: &Split, others: &[String], data_dir: &DataDir) -> Result<Vec<Unlike>> {
    if model.network.reference().is_none() {
        output::note(format_args!(
            "{} keeps no reference to its training pictures, so distances are left out; densenet reference adds one",
            model.path.display()
        ));
    }
    // What cannot be read is better known before the work.
    let others = others.iter().map(|name| Ok((name, open(name, data_dir)?))).collect::<Result<Vec<_>>>()?;
    let like = scored(model, own)?;
    others.into_iter().map(|(name, split)| Ok(compare(model, &like, name, &scored(model, &split)?))).collect()
}

/// The held-out pictures of the data set `name`, or all of a folder of pictures without classes.
fn open(name: &str, data_dir: &DataDir) -> Result<Split> {
    match pictures::without_classes(Path::new(name), data_dir)? {
        Some(pictures) => Ok(pictures),
        None => Ok(data_dir.open(name, &TableOptions::default())?.into_part(None)?),
    }
}

/// The scores of the pictures that can be read, of which there is one.
fn scored(model: &Model, split: &Split) -> Result<Vec<Scores>> {
    let style = ProgressStyle::with_template("scoring {bar:30} {pos}/{len}  {per_sec}  {eta} left");
    let bar = ProgressBar::new(split.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let found = scores_of(&model.network, split, model.preprocessing()?, |seen| {
        bar.set_position(seen as u64);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    let found = found.context("nobody ends it")?;
    let broken = |scores: &Scores| !scores.energy.is_finite();
    match found.iter().position(broken) {
        Some(_) => bail!("the outputs of {} for some pictures are not finite", model.path.display()),
        None if found.is_empty() => bail!("none of the {} can be read", counted(split.len(), "picture")),
        None => Ok(found),
    }
}

/// What pictures are scored by; none where that needs a reference and there is none.
type Way = fn(&Scores) -> Option<f64>;

fn compare(model: &Model, like: &[Scores], data: &str, other: &[Scores]) -> Unlike {
    let marked = |scores: &[Scores]| {
        let reference = model.network.reference()?;
        let is_marked = |scores: &&Scores| scores.distances.is_some_and(|distances| reference.is_unlike(&distances));
        Some(scores.iter().filter(is_marked).count() as f64 / scores.len() as f64)
    };
    let ways: [(&str, Way); 4] = [
        ("nearest neighbour", |scores| Some(scores.distances?.neighbour)),
        ("Mahalanobis", |scores| Some(scores.distances?.mahalanobis)),
        ("energy", |scores| Some(scores.energy)),
        ("maximum softmax", |scores| Some(scores.softmax)),
    ];
    let row = |(score, of): (&'static str, Way)| {
        let all = |scores: &[Scores]| scores.iter().map(of).collect::<Option<Vec<f64>>>();
        Some(Row { score, separation: Separation::new(&all(like)?, &all(other)?) })
    };
    Unlike {
        data: data.into(),
        pictures: other.len(),
        marked: marked(other),
        own_marked: marked(like),
        scores: ways.into_iter().filter_map(row).collect(),
    }
}

/// All of it for people, beside the data set `own`.
pub fn describe(all: &[Unlike], own: &str) -> String {
    let share = |share: f64| format!("{:.2} %", 100.0 * share);
    let one = |unlike: &Unlike| {
        let marked = match (unlike.marked, unlike.own_marked) {
            (Some(marked), Some(own_marked)) => {
                format!("; {} of them are marked, and {} of those of {own}", share(marked), share(own_marked))
            }
            _ => String::new(),
        };
        let pictures = count(unlike.pictures as u64);
        let header = ["score", "AUROC", "FPR at 95 % TPR"].map(String::from).to_vec();
        let row = |row: &Row| {
            let Separation { auroc, fpr95 } = row.separation;
            vec![row.score.into(), format!("{auroc:.4}"), share(fpr95)]
        };
        let rows: Vec<_> = std::iter::once(header).chain(unlike.scores.iter().map(row)).collect();
        format!("\n{pictures} pictures of {}{marked}\n{}", unlike.data, output::table(&rows))
    };
    all.iter().map(one).collect()
}

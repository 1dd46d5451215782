//! A run's curves, and its epochs as a table.

use maud::{Markup, html};

use super::chart::{Chart, Curve};
use super::figures::{capitalised, duration, percent};
use super::log::{Epoch, Log};

/// Rows of the table, at most.
const MOST_ROWS: usize = 200;

/// Loss, accuracy and learning rate by epochs; by steps before the first epoch is done.
pub fn curves(log: &Log) -> Markup {
    let x = if log.by_epochs() { "epoch" } else { "step" };
    let held_out = log.epochs.first().map_or("validation", |epoch| epoch.part);
    let mark = || log.best().map(|best| (best.number, format!("best: {}", best.number)));
    let chart = |title: &'static str, percent, curves: Vec<Curve>| {
        let mark = if percent { mark() } else { None };
        Chart { title: title.into(), x, percent, legend: curves.len() > 1, curves, mark, ..Chart::default() }.draw()
    };
    let pair =
        |train, held: Vec<[f64; 2]>| vec![Curve::new("training", "c0", train), Curve::new(held_out, "c1 dashed", held)];
    let mut losses = vec![Curve::new("steps", "c0 faint", log.loss.clone())];
    losses.extend(pair(log.curve(|epoch| epoch.train.loss), log.curve(|epoch| epoch.held_out.loss)));
    let accuracy = pair(log.curve(|epoch| epoch.train.top1), log.curve(|epoch| epoch.held_out.top1));
    let auc = pair(log.curve(|epoch| epoch.train.auc), log.curve(|epoch| epoch.held_out.auc));
    html! {
        @if !log.loss.is_empty() || !log.lr.is_empty() || log.by_epochs() {
            div class="charts" {
                (chart("Loss", false, losses))
                (chart("Accuracy", true, accuracy))
                (chart("ROC-AUC", true, auc))
                (chart("Learning rate", false, vec![Curve::new("learning rate", "c2", log.lr.clone())]))
            }
        }
        @if log.by_epochs() { (epochs(log, held_out)) }
    }
}

/// The epochs as a table: all, or if there are very many, every n-th.
fn epochs(log: &Log, held_out: &str) -> Markup {
    let every = log.epochs.len().div_ceil(MOST_ROWS);
    let score = if log.epochs[0].held_out.auc.is_some() { "ROC-AUC" } else { "accuracy" };
    let [loss, score] = ["loss", score].map(|name| format!("{} {name}", capitalised(held_out)));
    html! {
        details {
            summary { "The epochs as a table" @if every > 1 { ", every " (every) } }
            div class="scroll" tabindex="0" {
                table {
                    thead {
                        tr {
                            @for name in ["Epoch", "Training loss", "Training accuracy", &loss, &score, "Time"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                    tbody { @for epoch in log.epochs.iter().step_by(every) { (row(epoch)) } }
                }
            }
        }
    }
}

fn row(epoch: &Epoch) -> Markup {
    let told = |value: Option<f64>, how: fn(f64) -> String| value.map_or("–".into(), how);
    html! {
        tr {
            th scope="row" { (epoch.number) }
            @for part in [epoch.train, epoch.held_out] {
                td { (told(part.loss, |loss| format!("{loss:.4}"))) }
                td { (told(part.score(), percent)) }
            }
            td { (told(epoch.seconds, duration)) }
        }
    }
}

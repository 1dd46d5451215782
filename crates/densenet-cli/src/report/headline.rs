//! The top of a run's page: its progress, what went wrong, and the figures that count.

use maud::{Markup, html};

use super::evaluated::{Evaluated, Unreadable};
use super::figures::{capitalised, duration, percent, percents, short};
use super::log::{Epoch, Log};
use super::page::tile;
use super::run::Run;
use crate::output::{count, counted};

/// Unreadable pictures that are named.
const MOST_NAMED: usize = 200;

/// The progress of a run that is `under_way`, and what was left out.
pub fn notices(run: &Run, under_way: bool) -> Markup {
    let Log { steps, not_finite, unreadable, epochs, .. } = &run.log;
    let done = run.log.epochs_done();
    html! {
        @if under_way {
            p class="notice" role="status" {
                strong { "Under way: " }
                @if let Some(all) = run.epochs() { (done) " of " (counted(all, "epoch")) }
                @else { (counted(done, "epoch")) }
                ", " (counted(*steps as usize, "step")) " done."
                @if let Some(left) = left(run) { " About " (duration(left)) " left." }
            }
        } @else if epochs.is_empty() {
            p class="notice" { "No epoch is done yet." }
        }
        @if let Some(evaluated) = &run.evaluated { (unreadable_pictures(&evaluated.evaluation.unreadable)) }
        @if *not_finite > 0 {
            p class="notice" { (counted(*not_finite as usize, "number")) " of the log "
                (if *not_finite == 1 { "is" } else { "are" }) " not finite; the curves leave them out." }
        }
        @if let Some(Epoch { unreadable: pictures @ 1.., .. }) = epochs.last() {
            p class="notice" { (counted(*pictures as usize, "training picture")) " could not be read; others of their batches were used twice." }
        }
        @if *unreadable > 0 {
            p class="notice" { (counted(*unreadable as usize, "line")) " of the log could not be read." }
        }
    }
}

fn unreadable_pictures(pictures: &[Unreadable]) -> Markup {
    html! {
        @if !pictures.is_empty() {
            details class="notice" {
                summary { (counted(pictures.len(), "picture")) " could not be read and are not in any figure." }
                ul {
                    @for Unreadable { input, reason } in pictures.iter().take(MOST_NAMED) {
                        li { (input) ": " (reason) }
                    }
                }
            }
        }
    }
}

/// Seconds that the remaining epochs will take.
fn left(run: &Run) -> Option<f64> {
    let (all, done) = (run.epochs()?, run.log.epochs_done());
    (done > 0 && all >= done).then(|| run.log.seconds() / done as f64 * (all - done) as f64)
}

/// The figures that count.
pub fn tiles(run: &Run, under_way: bool) -> Markup {
    html! {
        @if let Some(evaluated) = &run.evaluated { (headline(evaluated)) }
        @if let Some(best) = run.log.best() {
            @let score = percent(best.held_out.score().unwrap_or_default());
            @let of = format!("{} {}", best.part, if best.held_out.auc.is_some() { "AUC" } else { "accuracy" });
            (tile("Best epoch", &format!("{} of {}", best.number, run.log.epochs_done()), &format!("{of} {score}")))
        }
        @if let Some(evaluated) = &run.evaluated { (calibration(evaluated)) }
        @if run.seconds() > 0.0 {
            @let note = if under_way { "so far" } else { "" };
            (tile("Time", &duration(run.seconds()), note))
        }
    }
}

/// Accuracy, or for labels the mean AUC, with its interval.
fn headline(evaluated: &Evaluated) -> Markup {
    let figures = &evaluated.evaluation;
    let of = |name: &str| format!("{} {name}", capitalised(evaluated.part()));
    let interval =
        |ends: Option<[f64; 2]>| ends.map(|ends| format!("95 % interval {}", percents(ends))).unwrap_or_default();
    html! {
        @if let Some(top1) = figures.top1 {
            div class="first" { (tile(&of("accuracy"), &percent(top1), &interval(figures.intervals.top1))) }
            @if let (Some(correct), Some(images)) = (figures.correct, figures.images) {
                (tile("Right", &count(correct), &format!("of {}", counted(images as usize, "picture"))))
            }
        } @else if let Some(auc) = figures.auc {
            div class="first" { (tile(&of("mean ROC-AUC"), &percent(auc), &interval(figures.intervals.auc))) }
        }
    }
}

fn calibration(evaluated: &Evaluated) -> Markup {
    let figures = &evaluated.evaluation;
    let note = figures.temperature.map(|temperature| format!("at temperature {}", short(temperature)));
    html! { @if let Some(ece) = figures.ece { (tile("Calibration error", &percent(ece), &note.unwrap_or_default())) } }
}

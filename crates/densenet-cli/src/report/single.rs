//! The page of one run.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{Chart, Curve};
use super::classes::classes;
use super::confusion::confusion;
use super::evaluated::{Evaluated, Unreadable};
use super::figures::{duration, percent, percents, short};
use super::log::Log;
use super::page::{page, section, tile};
use super::pictures::pictures;
use super::reliability::diagram;
use super::run::Run;
use crate::output::{count, counted};

/// Rows of a list, at most.
const MOST_ROWS: usize = 200;

/// The page of `run`, which goes on where it is `under_way`.
pub fn single(run: &Run, under_way: bool) -> String {
    let evaluated = run.evaluated.as_ref();
    let body = html! {
        header { h1 { (run.title()) } p { (about(run)) } }
        (notices(run, under_way))
        div class="tiles" { (tiles(run, under_way)) }
        (section("Curves", &curves(&run.log)))
        @if let Some(evaluated) = evaluated { (of_evaluation(evaluated)) }
        @if let Some((text, _)) = &run.recipe { (section("Recipe", &html! { pre tabindex="0" { (text) } })) }
        (section("Machine, time and memory", &machine(run)))
    };
    page(&run.title(), under_way, &body)
}

/// What was trained on what.
fn about(run: &Run) -> String {
    let told = |before: &str, key| run.of_recipe(key).map(|value| format!("{before}{value}"));
    [told("", "model"), told("", "data"), told("seed ", "seed")].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn notices(run: &Run, under_way: bool) -> Markup {
    let Log { steps, not_finite, unreadable, epochs, .. } = &run.log;
    let done = run.log.epochs_done();
    html! {
        @if under_way {
            p class="notice" role="status" {
                strong { "Under way: " }
                @match run.epochs() { Some(all) => { (done) " of " (counted(all, "epoch")) } None => (counted(done, "epoch")) }
                ", " (counted(*steps as usize, "step")) " done."
                @if let Some(left) = left(run) { " About " (duration(left)) " left." }
            }
        } @else if epochs.is_empty() {
            p class="notice" { "No epoch is done yet." }
        }
        @if let Some(evaluated) = &run.evaluated { (unreadable_pictures(&evaluated.evaluation.unreadable)) }
        @if *not_finite > 0 {
            p class="notice" { (counted(*not_finite as usize, "number")) " of the log "
                (if *not_finite == 1 { "is" } else { "are" }) " not finite; the curves go on without." }
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
                summary { (counted(pictures.len(), "picture")) " could not be read, and no figure counts them." }
                ul { @for Unreadable { input, reason } in pictures.iter().take(MOST_ROWS) { li { (input) ": " (reason) } } }
            }
        }
    }
}

/// Seconds that the epochs that are left will take.
fn left(run: &Run) -> Option<f64> {
    let (all, done) = (run.epochs()?, run.log.epochs_done());
    (done > 0 && all >= done).then(|| run.log.seconds() / done as f64 * (all - done) as f64)
}

fn tiles(run: &Run, under_way: bool) -> Markup {
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

/// Accuracy, or the mean AUC of labels, with its interval.
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

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn curves(log: &Log) -> Markup {
    let x = if log.by_epochs() { "epoch" } else { "step" };
    let held_out = log.epochs.first().map_or("validation", |epoch| epoch.part);
    let mark = || log.best().map(|best| (best.number, format!("best: {}", best.number)));
    let chart = |title, percent, curves: Vec<Curve>| {
        let mark = if percent { mark() } else { None };
        Chart { title, x, percent, legend: curves.len() > 1, curves, mark }.draw()
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

/// The epochs as a table: all, or of very many every so many.
fn epochs(log: &Log, held_out: &str) -> Markup {
    let every = log.epochs.len().div_ceil(MOST_ROWS);
    let figure = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.4}"));
    let share = |value: Option<f64>| value.map_or("–".into(), percent);
    html! {
        details {
            summary { "The epochs as a table" @if every > 1 { ", every " (every) } }
            div class="scroll" tabindex="0" {
                table {
                    thead {
                        tr {
                            @for name in ["Epoch", "Training loss", "Training accuracy"] { th scope="col" { (name) } }
                            @for name in ["loss", "accuracy"] { th scope="col" { (capitalised(held_out)) " " (name) } }
                            th scope="col" { "Time" }
                        }
                    }
                    tbody {
                        @for epoch in log.epochs.iter().step_by(every) {
                            tr {
                                th scope="row" { (epoch.number) }
                                @for part in [epoch.train, epoch.held_out] { td { (figure(part.loss)) } td { (share(part.top1)) } }
                                td { (epoch.seconds.map_or("–".into(), duration)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn of_evaluation(evaluated: &Evaluated) -> Markup {
    let figures = &evaluated.evaluation;
    html! {
        (section("Confusions", &confusion(evaluated)))
        @if figures.calibration.iter().any(|bin| bin.count > 0) {
            (section("Calibration", &html! {
                p { "A bar is the share of right answers among those of about the same confidence. Where probabilities mean what
                    they say, bars end on the diagonal; the hatched part is what they miss it by." }
                div class="side" { (diagram(&figures.calibration)) }
            }))
        }
        @if !figures.per_class.is_empty() { (section("Classes", &classes(evaluated))) }
        @if !evaluated.mistakes.is_empty() {
            (section("The most confident mistakes", &pictures(&evaluated.mistakes)))
        }
        @if !evaluated.suspects.is_empty() {
            (section("The likeliest wrong labels", &html! {
                p { "Pictures that the network is as sure of as of pictures of another class: look whether their labels are right." }
                (pictures(&evaluated.suspects))
            }))
        }
    }
}

fn machine(run: &Run) -> Markup {
    let speed = run.log.epochs.iter().filter_map(|epoch| epoch.images_per_s).reduce(f64::max);
    html! {
        @if run.machine.is_some() || speed.is_some() {
            dl {
                @for (key, value) in run.machine.iter().flatten().filter(|(_, value)| !value.is_null()) {
                    @let (name, text) = in_words(key, value);
                    dt { (name) } dd { (text) }
                }
                @if let Some(speed) = speed { dt { "Training pictures a second, at most" } dd { (format!("{speed:.0}")) } }
            }
        }
    }
}

/// A fact of the machine: its name and what it is.
fn in_words(key: &str, value: &Value) -> (String, String) {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let number = |what: fn(f64) -> String| value.as_f64().map_or(text.clone(), what);
    let mib = |mib: f64| format!("{} MiB", count(mib as u64));
    match key {
        "instruction_set" => ("Instruction set".into(), text),
        "os" => ("Operating system".into(), text),
        "memory_mib" => ("Memory".into(), number(mib)),
        "peak_rss_mib" => ("Memory that was taken, at most".into(), number(mib)),
        "version" => ("Version of densenet".into(), text),
        "seconds" => ("Time".into(), number(duration)),
        key => (capitalised(&key.replace('_', " ")), text),
    }
}

//! The page that compares runs.

use maud::{Markup, html};

use super::chart::{Chart, Curve, legend};
use super::figures::{duration, mean_and_deviation, percent, percents};
use super::log::{Epoch, Log};
use super::page::{page, section};
use super::recipe::{Recipe, differences, same_but_for_seed};
use super::run::Run;

/// Colours of the page's style.
const COLOURS: usize = 8;

/// The page of several runs.
pub fn compare(runs: &[Run]) -> String {
    let title = format!("{} runs", runs.len());
    let body = html! {
        header { h1 { (title) } }
        (section("Figures", &figures(runs)))
        (section("Curves", &curves(runs)))
        (section("Differences between the recipes", &recipes(runs)))
    };
    page(&title, false, &body)
}

/// The runs of one recipe, next to each other: of each group the places in `runs`.
fn groups(runs: &[Run]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let alike = |group: &&mut Vec<usize>| match (&runs[group[0]].recipe, &run.recipe) {
            (Some((_, a)), Some((_, b))) => same_but_for_seed(a, b),
            _ => false,
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

const COLUMNS: [&str; 8] =
    ["Run", "Part", "Accuracy or AUC", "95 % interval", "Loss", "Calibration error", "Best epoch", "Time"];

fn figures(runs: &[Run]) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table class="words" {
                thead { tr { @for name in COLUMNS { th scope="col" { (name) } } } }
                @for group in groups(runs) {
                    tbody {
                        @for &place in &group { (row(&runs[place], place)) }
                        @if group.len() > 1 {
                            @let alike: Vec<&Run> = group.iter().map(|&place| &runs[place]).collect();
                            (summary(&alike))
                        }
                    }
                }
            }
        }
    }
}

fn row(run: &Run, place: usize) -> Markup {
    let none = || "–".to_string();
    let evaluation = run.evaluated.as_ref().map(|evaluated| &evaluated.evaluation);
    let interval = evaluation.and_then(|figures| figures.intervals.top1.or(figures.intervals.auc));
    html! {
        tr {
            th scope="row" { (swatch(place)) (run.name) }
            td { (part(run).unwrap_or("–")) }
            td { (score(run).map_or_else(none, percent)) }
            td { (interval.map_or_else(none, percents)) }
            td { (loss(run).map_or_else(none, |loss| format!("{loss:.4}"))) }
            td { (evaluation.and_then(|figures| figures.ece).map_or_else(none, percent)) }
            td { (run.log.best().map_or_else(none, |best| format!("{} of {}", best.number, run.log.epochs_done()))) }
            td { (duration(run.seconds())) }
        }
    }
}

/// Mean and deviation of runs that differ only in their seed.
fn summary(runs: &[&Run]) -> Markup {
    let over = |of: fn(&Run) -> Option<f64>, digits: usize, unit: f64| {
        let values: Vec<f64> = runs.iter().filter_map(|run| of(run)).collect();
        let told = mean_and_deviation(&values).filter(|_| values.len() == runs.len());
        told.map(|(mean, deviation)| format!("{:.digits$} ± {:.digits$}", unit * mean, unit * deviation))
    };
    let percent = |of| over(of, 2, 100.0).map_or("–".into(), |text| format!("{text} %"));
    let ece = |run: &Run| run.evaluated.as_ref()?.evaluation.ece;
    let same_part = runs.iter().all(|run| part(run) == part(runs[0]));
    html! {
        tr class="summary" {
            th scope="row" { "Mean and deviation over " (runs.len()) " seeds" }
            td { @if same_part { (part(runs[0]).unwrap_or("–")) } @else { "–" } }
            @if same_part {
                td { (percent(score)) }
                td {}
                td { (over(loss, 4, 1.0).unwrap_or("–".into())) }
                td { (percent(ece)) }
            } @else {
                td {} td {} td {} td {}
            }
            td {}
            td {}
        }
    }
}

/// The part that a run's figures are for: that of its evaluation, or the one its best epoch was chosen by.
fn part(run: &Run) -> Option<&str> {
    let evaluated = run.evaluated.as_ref().map(|evaluated| evaluated.part());
    evaluated.or_else(|| run.log.best().map(|best| best.part))
}

/// Accuracy, or AUC of labels.
fn score(run: &Run) -> Option<f64> {
    match &run.evaluated {
        Some(evaluated) => evaluated.evaluation.top1.or(evaluated.evaluation.auc),
        None => run.log.best()?.held_out.score(),
    }
}

fn loss(run: &Run) -> Option<f64> {
    match &run.evaluated {
        Some(evaluated) => evaluated.evaluation.loss,
        None => run.log.best()?.held_out.loss,
    }
}

fn curves(runs: &[Run]) -> Markup {
    let overlaid = |of: &dyn Fn(&Log) -> Vec<[f64; 2]>| -> Vec<Curve> {
        runs.iter().enumerate().map(|(place, run)| Curve::new(&run.name, style(place), of(&run.log))).collect()
    };
    let of_epochs = |of: fn(&Epoch) -> Option<f64>| overlaid(&move |log: &Log| log.curve(of));
    let chart = |title: &'static str, percent, curves| {
        Chart { title: title.into(), x: "epoch", percent, curves, ..Chart::default() }.draw()
    };
    let by_epochs = |log: &Log, curve: &Vec<[f64; 2]>| if log.by_epochs() { curve.clone() } else { Vec::new() };
    html! {
        (legend(&overlaid(&|_| Vec::new())))
        div class="charts" {
            (chart("Held-out accuracy", true, of_epochs(|epoch| epoch.held_out.top1)))
            (chart("Held-out ROC-AUC", true, of_epochs(|epoch| epoch.held_out.auc)))
            (chart("Held-out loss", false, of_epochs(|epoch| epoch.held_out.loss)))
            (chart("Training loss", false, of_epochs(|epoch| epoch.train.loss)))
            (chart("Learning rate", false, overlaid(&|log| by_epochs(log, &log.lr))))
        }
    }
}

/// How the curves of the run at this place are drawn; dashes distinguish those of the same colour.
fn style(place: usize) -> String {
    let dashes = ["", " dashed", " dotted"][place / COLOURS % 3];
    format!("c{}{dashes}", place % COLOURS)
}

fn swatch(place: usize) -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 28 8" aria-hidden="true" {
            path class={ "curve " (style(place)) } d="M0 4L28 4" {}
        }
    }
}

fn recipes(runs: &[Run]) -> Markup {
    let known: Vec<(&Run, &Recipe)> = runs.iter().filter_map(|run| Some((run, &run.recipe.as_ref()?.1))).collect();
    let keys = differences(&known.iter().map(|(_, recipe)| *recipe).collect::<Vec<_>>());
    html! {
        @for run in runs.iter().filter(|run| run.recipe.is_none()) { p { (run.name) " has no recipe." } }
        @if keys.is_empty() && known.len() > 1 { p { "None." } }
        @if !keys.is_empty() {
            div class="scroll" tabindex="0" {
                table {
                    thead {
                        tr { th scope="col" { "Key" } @for (run, _) in &known { th scope="col" { (run.name) } } }
                    }
                    tbody {
                        @for key in &keys {
                            tr {
                                th scope="row" { code { (key) } }
                                @for (_, recipe) in &known { td { (recipe.get(key).map_or("–", String::as_str)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

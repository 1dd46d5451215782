//! The page of one run.

use maud::{Markup, html};
use serde_json::Value;

use super::classes::classes;
use super::confusion::confusion;
use super::curves::curves;
use super::evaluated::Evaluated;
use super::figures::{capitalised, duration};
use super::headline::{notices, tiles};
use super::page::{page, section};
use super::pictures::pictures;
use super::reliability::diagram;
use super::run::Run;
use crate::output::count;

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

fn of_evaluation(evaluated: &Evaluated) -> Markup {
    let figures = &evaluated.evaluation;
    html! {
        (section("Confusions", &confusion(evaluated)))
        @if figures.calibration.iter().any(|bin| bin.count > 0) {
            (section("Calibration", &html! {
                p {
                    "A bar is the share of right predictions among those of about the same confidence. Where probabilities \
                     mean what they say, bars end on the diagonal; the hatched part is what they miss it by."
                }
                div class="side" { (diagram(&figures.calibration)) }
            }))
        }
        @if !figures.per_class.is_empty() { (section("Classes", &classes(evaluated))) }
        @if !evaluated.mistakes.is_empty() {
            (section("The most confident mistakes", &pictures(&evaluated.mistakes)))
        }
        @if !evaluated.suspects.is_empty() {
            (section("The likeliest wrong labels", &html! {
                p {
                    "Pictures that the network takes for another class with as much confidence as that class's own \
                     pictures: look whether their labels are right."
                }
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
                @if let Some(speed) = speed {
                    dt { "Training pictures a second, at most" } dd { (count(speed as u64)) }
                }
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

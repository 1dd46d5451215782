//! The page of one run.

use maud::{Markup, html};

use super::classes::classes;
use super::confusion::confusion;
use super::curves::curves;
use super::evaluated::Evaluated;
use super::headline::{notices, tiles};
use super::machine::facts;
use super::page::{page, section};
use super::pictures::pictures;
use super::reliability::diagram;
use super::run::Run;
use crate::output::count;

/// The page of `run`, which may be `under_way`.
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
                    "Each bar is the share of right predictions among those with about the same confidence. Where \
                     probabilities mean what they say, bars end on the diagonal; the hatched part shows how far they \
                     are off."
                }
                div class="side" { (diagram(&figures.calibration)) }
            }))
        }
        @if !figures.per_class.is_empty() { (section("Classes", &classes(evaluated))) }
        @if !evaluated.mistakes.is_empty() {
            (section("The most confident mistakes", &pictures(&evaluated.mistakes)))
        }
        @if !evaluated.suspects.is_empty() {
            (section("The most likely wrong labels", &html! {
                p {
                    "Pictures that the network takes for another class with as much confidence as that class's own \
                     pictures: check whether their labels are right."
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
                @if let Some(machine) = &run.machine { (facts(machine)) }
                @if let Some(speed) = speed {
                    dt { "Training pictures per second, at most" } dd { (count(speed as u64)) }
                }
            }
        }
    }
}

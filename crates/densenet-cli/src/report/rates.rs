//! The page of a search for the learning rate.

use densenet::training::find_lr::{Tried, still_falls};
use maud::html;

use super::chart::{Chart, Curve};
use super::figures::short;
use super::page::{page, section};

/// The page of the steps `tried`, where `suggested` is the rate to train with.
pub fn rates(tried: &[Tried], suggested: f64) -> String {
    let of = |value: fn(&Tried) -> f64| tried.iter().map(|tried| [tried.lr, value(tried)]).collect();
    let chart = Chart {
        title: "Loss".into(),
        x: "learning rate",
        logarithmic: [true, false],
        curves: vec![
            Curve::new("of the batch", "c0 faint", of(|t| t.loss)),
            Curve::new("smoothed", "c0", of(|t| t.smoothed)),
        ],
        legend: true,
        mark: Some((suggested, short(suggested))),
        ..Chart::default()
    };
    let body = html! {
        header { h1 { "Search for the learning rate" } }
        (section("Loss by learning rate", &html! {
            p {
                "The rate rises with every step. A tenth of the rate with the lowest loss is " b { (short(suggested)) }
                "."
            }
            @if still_falls(tried) {
                p { "The loss was still falling at the highest rate tried, so where it is lowest is not known." }
            }
            div class="charts" { (chart.draw()) }
        }))
    };
    page("Search for the learning rate", false, &body)
}

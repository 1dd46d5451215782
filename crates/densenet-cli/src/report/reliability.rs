//! The reliability diagram: how many of the predictions with about the same confidence are right.

use maud::{Markup, html};

use super::evaluated::Bin;
use super::figures::percent;
use crate::output::{count, counted};

/// A side of the square that is drawn in, and its place in the drawing, in units of SVG.
const SIDE: f64 = 220.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = TOP + SIDE;

/// The diagram of `bins`, which divide 0 to 1 equally, and a table of the same.
pub fn diagram(bins: &[Bin]) -> Markup {
    let width = SIDE / bins.len() as f64;
    let filled = || bins.iter().enumerate().filter(|(_, bin)| bin.count > 0);
    html! {
        figure class="chart square" {
            figcaption { "Accuracy by confidence (%)" }
            svg viewBox="0 0 276 276" role="img" aria-label="Reliability diagram; the table beside it has its figures" {
                defs {
                    pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)" {
                        line class="hatch" y2="5" {}
                    }
                }
                (grid())
                @for (place, bin) in filled() {
                    @let (x, top) = (LEFT + place as f64 * width, BOTTOM - SIDE * bin.accuracy);
                    @let diagonal = BOTTOM - SIDE * bin.confidence;
                    g data-tip=(in_words(bin)) {
                        rect class="target" x=(cell(x)) y=(cell(TOP)) width=(cell(width)) height=(cell(SIDE)) {}
                        rect class="accuracy" x=(cell(x + 1.0)) y=(cell(top)) width=(cell(width - 2.0))
                            height=(cell(BOTTOM - top)) {}
                        rect class="gap" x=(cell(x + 1.0)) y=(cell(top.min(diagonal))) width=(cell(width - 2.0))
                            height=(cell((top - diagonal).abs())) {}
                    }
                }
                line class="diagonal" x1=(LEFT) y1=(BOTTOM) x2=(LEFT + SIDE) y2=(TOP) {}
            }
        }
        (table(filled().map(|(_, bin)| bin)))
    }
}

fn grid() -> Markup {
    html! {
        g class="grid" {
            @for tick in [0, 20, 40, 60, 80, 100] {
                @let along = SIDE * f64::from(tick) / 100.0;
                line x1=(LEFT) x2=(LEFT + SIDE) y1=(cell(BOTTOM - along)) y2=(cell(BOTTOM - along)) {}
                text x=(LEFT - 6.0) y=(cell(BOTTOM - along + 4.0)) text-anchor="end" { (tick) }
                text x=(cell(LEFT + along)) y=(BOTTOM + 16.0) text-anchor="middle" { (tick) }
            }
            text x=(LEFT + SIDE / 2.0) y=(BOTTOM + 34.0) text-anchor="middle" { "confidence (%)" }
        }
    }
}

fn in_words(bin: &Bin) -> String {
    let (confidence, accuracy) = (percent(bin.confidence), percent(bin.accuracy));
    format!("{}: confidence {confidence}, right {accuracy}", counted(bin.count as usize, "prediction"))
}

fn table<'a>(bins: impl Iterator<Item = &'a Bin>) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                thead { tr { @for name in ["Confidence", "Right", "Predictions"] { th scope="col" { (name) } } } }
                tbody {
                    @for bin in bins {
                        tr {
                            @for share in [bin.confidence, bin.accuracy] { td { (percent(share)) } }
                            td { (count(bin.count)) }
                        }
                    }
                }
            }
        }
    }
}

/// A place or extent to a tenth of a unit.
fn cell(value: f64) -> f64 {
    (10.0 * value).round() / 10.0
}

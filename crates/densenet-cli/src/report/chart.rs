//! Curves as SVG, whose values the page's script tells under the pointer.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;
use super::figures::short;

/// Of the drawing, in units of SVG.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;

/// The edges of what is drawn within its axes.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = HEIGHT - 36.0;

/// Points up to which each is marked.
const FEW: usize = 25;

/// A curve.
pub struct Curve {
    /// What it is of.
    pub name: String,
    /// How it is drawn: classes of the page's style.
    pub style: String,
    /// `[x, y]`, all finite, x ascending.
    pub points: Vec<[f64; 2]>,
}

impl Curve {
    /// A curve; `style` is of the page's style sheet.
    pub fn new(name: impl Into<String>, style: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self { name: name.into(), style: style.into(), points }
    }
}

/// Curves over the same x.
pub struct Chart<'a> {
    /// What y is.
    pub title: &'a str,
    /// What x is.
    pub x: &'a str,
    /// Whether y are shares, to be told in percent.
    pub percent: bool,
    /// The curves; those without points are left out.
    pub curves: Vec<Curve>,
    /// Whether the curves are named below.
    pub legend: bool,
    /// A place on x to mark, and what is there.
    pub mark: Option<(f64, String)>,
}

impl Chart<'_> {
    /// The chart under its title; nothing where no curve has a point.
    pub fn draw(mut self) -> Markup {
        self.curves.retain(|curve| !curve.points.is_empty());
        if self.curves.is_empty() {
            return html! {};
        }
        if self.percent {
            self.curves.iter_mut().flat_map(|curve| &mut curve.points).for_each(|point| point[1] *= 100.0);
        }
        let [x, y] = self.axes();
        let domain = format!("{} {} {LEFT} {RIGHT}", x.low, x.high);
        html! {
            figure class="chart" {
                figcaption { (self.title) @if self.percent { " (%)" } }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.in_words()) data-x=(domain)
                    data-unit=[self.percent.then_some(" %")] data-of=(self.x) {
                    (grid(&x, &y, self.x))
                    @if let Some((at, name)) = &self.mark { (mark(x.place(*at, LEFT, RIGHT), name)) }
                    @for curve in &self.curves { (drawn(curve, &x, &y)) }
                    line class="cursor" y1=(TOP) y2=(BOTTOM) x1="-9" x2="-9" {}
                }
                @if self.legend { (legend(&self.curves)) }
            }
        }
    }

    fn axes(&self) -> [Axis; 2] {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let extent = |axis: usize| {
            let ends = (f64::INFINITY, f64::NEG_INFINITY);
            points().fold(ends, |(low, high), point| (low.min(point[axis]), high.max(point[axis])))
        };
        let ((left, right), (low, high)) = (extent(0), extent(1));
        // Losses and rates are measured from zero; shares, which are high, from where they begin.
        let low = if self.percent { low } else { low.min(0.0) };
        let x = if left < 0.0 { Axis::round(left, right, 6.0) } else { Axis::whole(right, 6.0) };
        [x, Axis::round(low, high, 5.0)]
    }

    /// What the curves show, for those who do not see them.
    fn in_words(&self) -> String {
        let unit = if self.percent { " %" } else { "" };
        let mut words = format!("{} by {}", self.title, self.x);
        for curve in &self.curves {
            let [first, last] = [curve.points[0], curve.points[curve.points.len() - 1]].map(|point| short(point[1]));
            let _ = write!(words, "; {}: from {first}{unit} to {last}{unit}", curve.name);
        }
        words
    }
}

fn grid(x: &Axis, y: &Axis, name: &str) -> Markup {
    html! {
        g class="grid" {
            @for tick in y.ticks() {
                @let at = round(y.place(tick, BOTTOM, TOP));
                line x1=(LEFT) x2=(RIGHT) y1=(at) y2=(at) {}
                text x=(LEFT - 6.0) y=(at + 4.0) text-anchor="end" { (y.label(tick)) }
            }
            @for tick in x.ticks() {
                text x=(round(x.place(tick, LEFT, RIGHT))) y=(BOTTOM + 16.0) text-anchor="middle" { (x.label(tick)) }
            }
            text x=((LEFT + RIGHT) / 2.0) y=(HEIGHT - 4.0) text-anchor="middle" { (name) }
        }
    }
}

fn mark(at: f64, name: &str) -> Markup {
    let (at, to_the_left) = (round(at), at > (LEFT + RIGHT) / 2.0);
    html! {
        g class="mark" {
            line x1=(at) x2=(at) y1=(TOP) y2=(BOTTOM) {}
            text x=(if to_the_left { at - 4.0 } else { at + 4.0 }) y=(TOP - 5.0)
                text-anchor=(if to_the_left { "end" } else { "start" }) { (name) }
        }
    }
}

fn drawn(curve: &Curve, x: &Axis, y: &Axis) -> Markup {
    let (mut path, mut values) = (String::new(), String::new());
    let places: Vec<[f64; 2]> =
        curve.points.iter().map(|p| [x.place(p[0], LEFT, RIGHT), y.place(p[1], BOTTOM, TOP)]).collect();
    for (place, point) in places.iter().zip(&curve.points) {
        let between = if path.is_empty() { ("M", "") } else { ("L", ",") };
        let _ = write!(path, "{}{:.1} {:.1}", between.0, place[0], place[1]);
        let _ = write!(values, "{}{} {}", between.1, short(point[0]), short(point[1]));
    }
    html! {
        path class={ "curve " (curve.style) } d=(path) data-name=(curve.name) data-values=(values) {}
        @if curve.points.len() <= FEW {
            @for [x, y] in &places { circle class=(curve.style) cx=(round(*x)) cy=(round(*y)) r="2.5" {} }
        }
    }
}

/// The names of curves beside how they are drawn.
pub fn legend(curves: &[Curve]) -> Markup {
    html! {
        ul class="legend" {
            @for curve in curves {
                li {
                    svg viewBox="0 0 28 8" aria-hidden="true" { path class={ "curve " (curve.style) } d="M0 4L28 4" {} }
                    (curve.name)
                }
            }
        }
    }
}

/// A place to a tenth of a unit.
fn round(place: f64) -> f64 {
    (10.0 * place).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_lies_within_its_axes_and_is_told_in_words() {
        let curves = vec![Curve::new("<b>", "c0", vec![[1.0, 0.5], [3.0, 0.75]]), Curve::new("none", "c1", vec![])];
        let chart = Chart {
            title: "Accuracy",
            x: "epoch",
            percent: true,
            curves,
            legend: true,
            mark: Some((3.0, "best".into())),
        };
        let svg = chart.draw().into_string();
        assert!(svg.contains("d=\"M165.3 214.0L408.0 18.0\""), "{svg}");
        assert!(svg.contains("aria-label=\"Accuracy by epoch; &lt;b&gt;: from 50 % to 75 %\""), "{svg}");
        assert!(svg.contains("data-values=\"1 50,3 75\"") && !svg.contains("none") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let chart = Chart { title: "Loss", x: "step", percent: false, curves: vec![], legend: true, mark: None };
        assert_eq!(chart.draw().into_string(), "");
    }
}

//! Curves as SVG, whose values the page's script shows under the pointer.

use std::borrow::Cow;
use std::fmt::Write;

use maud::{Markup, html};
use serde::Serialize;

use super::axis::Axis;
use super::figures::short;

/// Of the drawing, in units of SVG.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;

/// The edges of what is drawn within its axes; the left one is further in where labels are long.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = HEIGHT - 36.0;

/// Width of a digit, at most.
const LETTER: f64 = 8.0;

/// Between a label and its axis.
const GAP: f64 = 6.0;

/// Points up to which each is marked.
const FEW: usize = 25;

/// A curve.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// How it is drawn: classes of the page's style.
    #[serde(skip)]
    pub style: String,
    /// What its points are marked with.
    #[serde(skip)]
    pub marker: Marker,
    /// `[x, y]`, all finite, x ascending.
    pub points: Vec<[f64; 2]>,
    /// How low and how high y may be at each point: error bars, or of many points a band; empty where that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<[f64; 2]>,
}

/// The shape of a point's mark.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Marker {
    /// For a first curve.
    #[default]
    Circle,
    /// For a second.
    Square,
    /// For a third.
    Triangle,
    /// For a fourth.
    Diamond,
}

impl Curve {
    /// A curve; `style` is of the page's style sheet.
    pub fn new(name: impl Into<String>, style: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self { name: name.into(), style: style.into(), points, ..Self::default() }
    }

    /// The curve without the points for which there is no place on logarithmic axes.
    fn positive(mut self, logarithmic: [bool; 2]) -> Self {
        let has_place = |point: &[f64; 2]| (0..2).all(|axis| !logarithmic[axis] || point[axis] > 0.0);
        let kept: Vec<bool> = self.points.iter().map(has_place).collect();
        let mut keep = kept.iter().copied();
        self.spread.retain(|_| keep.next().unwrap_or(true));
        self.points.retain(has_place);
        self
    }
}

/// Curves over the same x.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Chart<'a> {
    /// What y is.
    pub title: Cow<'a, str>,
    /// What x is.
    pub x: &'a str,
    /// Whether y are shares, to be shown in percent.
    pub percent: bool,
    /// Whether x and y are on logarithmic scales, which leave out what is not above 0.
    pub logarithmic: [bool; 2],
    /// The curves; those without points are left out.
    pub curves: Vec<Curve>,
    /// Whether the curves are named below.
    #[serde(skip)]
    pub legend: bool,
    /// A place on x to mark, and what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<(f64, String)>,
}

impl Chart<'_> {
    /// The chart under its title; nothing where no curve has a point.
    pub fn draw(mut self) -> Markup {
        self.curves = self.curves.into_iter().map(|curve| curve.positive(self.logarithmic)).collect();
        self.curves.retain(|curve| !curve.points.is_empty());
        if self.curves.is_empty() {
            return html! {};
        }
        if self.percent {
            for curve in &mut self.curves {
                curve.points.iter_mut().for_each(|point| point[1] *= 100.0);
                curve.spread.iter_mut().flatten().for_each(|end| *end *= 100.0);
            }
        }
        let frame = self.frame();
        let domain = format!("{} {} {} {RIGHT}", frame.x.low, frame.x.high, frame.left);
        html! {
            figure class="chart" {
                figcaption { (self.title) @if self.percent { " (%)" } }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.in_words()) data-x=(domain)
                    data-logarithmic[self.logarithmic[0]] data-unit=[self.percent.then_some(" %")] data-of=(self.x) {
                    (grid(&frame, self.x))
                    @if let Some((at, name)) = &self.mark { (mark(&frame, *at, name)) }
                    @for curve in &self.curves { (spread(curve, &frame)) }
                    @for curve in &self.curves { (drawn(curve, &frame)) }
                    line class="cursor" y1=(TOP) y2=(BOTTOM) x1="-9" x2="-9" {}
                }
                @if self.legend { (legend(&self.curves)) }
            }
        }
    }

    fn frame(&self) -> Frame {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let (left, right) = extent(points.clone().map(|point| point[0]));
        let of_spread = self.curves.iter().flat_map(|curve| &curve.spread).flatten().copied();
        // A bar that reaches down to 0 or beyond ends at the lower edge of a logarithmic chart.
        let of_spread = of_spread.filter(|end| !self.logarithmic[1] || *end > 0.0);
        let (low, high) = extent(points.map(|point| point[1]).chain(of_spread));
        let x = match self.logarithmic[0] {
            true => Axis::logarithmic(left, right).close_to(left, right),
            false if left < 0.0 => Axis::round(left, right, 6.0),
            false => Axis::whole(right, 6.0),
        };
        // Losses and rates are measured from zero; shares, which are high, from where they begin.
        let y = match self.logarithmic[1] {
            true => Axis::logarithmic(low, high),
            false if self.percent => Axis::shares(low, high, 5.0),
            false => Axis::round(low.min(0.0), high, 5.0),
        };
        Frame::new(x, y)
    }

    /// What the curves show, for those who cannot see them.
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

/// Both axes, and where they are in the drawing.
struct Frame {
    x: Axis,
    y: Axis,
    left: f64,
}

impl Frame {
    /// The labels of `y` have room at its left.
    fn new(x: Axis, y: Axis) -> Self {
        let longest = y.ticks().map(|tick| y.label(tick).chars().count()).max().unwrap_or_default();
        Self { x, y, left: LEFT.max(LETTER * longest as f64 + GAP) }
    }

    fn across(&self, x: f64) -> f64 {
        self.x.place(x, self.left, RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        self.y.place(y, BOTTOM, TOP)
    }
}

/// The lowest and the highest of `values`.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

fn grid(frame: &Frame, name: &str) -> Markup {
    let Frame { x, y, left } = frame;
    html! {
        g class="grid" {
            @for tick in y.ticks() {
                @let at = round(frame.up(tick));
                line x1=(left) x2=(RIGHT) y1=(at) y2=(at) {}
                text x=(left - GAP) y=(at + 4.0) text-anchor="end" { (y.label(tick)) }
            }
            @for tick in x.ticks() {
                @let (at, label) = (round(frame.across(tick)), x.label(tick));
                // A label that would leave the drawing ends with it.
                @let leaves = at + LETTER * label.len() as f64 / 2.0 > WIDTH;
                text x=(if leaves { WIDTH } else { at }) y=(BOTTOM + 16.0)
                    text-anchor=(if leaves { "end" } else { "middle" }) { (label) }
            }
            text x=((left + RIGHT) / 2.0) y=(HEIGHT - 4.0) text-anchor="middle" { (name) }
        }
    }
}

fn mark(frame: &Frame, at: f64, name: &str) -> Markup {
    let at = round(frame.across(at));
    let to_the_left = at > (frame.left + RIGHT) / 2.0;
    html! {
        g class="mark" {
            line x1=(at) x2=(at) y1=(TOP) y2=(BOTTOM) {}
            text x=(if to_the_left { at - 4.0 } else { at + 4.0 }) y=(TOP - 5.0)
                text-anchor=(if to_the_left { "end" } else { "start" }) { (name) }
        }
    }
}

fn drawn(curve: &Curve, frame: &Frame) -> Markup {
    let (mut path, mut values) = (String::new(), String::new());
    let places: Vec<[f64; 2]> = curve.points.iter().map(|&[x, y]| [frame.across(x), frame.up(y)]).collect();
    for (place, point) in places.iter().zip(&curve.points) {
        let between = if path.is_empty() { ("M", "") } else { ("L", ",") };
        let _ = write!(path, "{}{:.1} {:.1}", between.0, place[0], place[1]);
        let _ = write!(values, "{}{} {}", between.1, short(point[0]), short(point[1]));
    }
    html! {
        path class={ "curve " (curve.style) } d=(path) data-name=(curve.name) data-values=(values) {}
        @if curve.points.len() <= FEW {
            @for place in &places { (marked(curve, *place)) }
        }
    }
}

/// The mark of a point of `curve`.
fn marked(curve: &Curve, place: [f64; 2]) -> Markup {
    let [x, y] = place.map(round);
    let of_corners = |corners: String| html! { path class={ "marker " (curve.style) } d=(corners) {} };
    match curve.marker {
        Marker::Circle => html! { circle class={ "marker " (curve.style) } cx=(x) cy=(y) r="2.5" {} },
        Marker::Square => html! {
            rect class={ "marker " (curve.style) } x=(round(x - 2.5)) y=(round(y - 2.5)) width="5" height="5" {}
        },
        Marker::Triangle => of_corners(format!("M{:.1} {:.1}l6 0l-3 -5.4z", x - 3.0, y + 2.4)),
        Marker::Diamond => of_corners(format!("M{:.1} {y:.1}l3.5 3.5l3.5 -3.5l-3.5 -3.5z", x - 3.5)),
    }
}

/// How low and how high `curve` may be: bars, or a band where its points are many.
fn spread(curve: &Curve, frame: &Frame) -> Markup {
    let place = |value: f64| round(frame.up(value).clamp(TOP, BOTTOM));
    let bars = curve.points.iter().zip(&curve.spread);
    let bars = bars.map(|(point, ends)| (round(frame.across(point[0])), ends.map(place)));
    let bars: Vec<(f64, [f64; 2])> = bars.collect();
    if bars.len() <= FEW {
        let path: String =
            bars.iter().map(|(at, [low, high])| format!("M{} {low}h6m-3 0V{high}m-3 0h6", round(at - 3.0))).collect();
        return html! { @if !path.is_empty() { path class={ "bars " (curve.style) } d=(path) {} } };
    }
    let corner = |(at, end): (f64, f64)| format!("{at} {end}");
    let upper = bars.iter().map(|(at, [_, high])| (*at, *high));
    let lower = bars.iter().rev().map(|(at, [low, _])| (*at, *low));
    let corners: Vec<String> = upper.chain(lower).map(corner).collect();
    html! { path class={ "band " (curve.style) } d={ "M" (corners.join("L")) "z" } {} }
}

/// The names of curves beside how they are drawn.
pub fn legend(curves: &[Curve]) -> Markup {
    html! {
        ul class="legend" {
            @for curve in curves {
                li {
                    svg viewBox="0 0 28 8" aria-hidden="true" {
                        path class={ "curve " (curve.style) } d="M0 4L28 4" {}
                        @if curve.marker != Marker::Circle || curve.style.contains("marks") { (marked(curve, [14.0, 4.0])) }
                    }
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
        let mark = Some((3.0, "best".into()));
        let chart = Chart {
            title: "Accuracy".into(),
            x: "epoch",
            percent: true,
            curves,
            legend: true,
            mark,
            ..Chart::default()
        };
        let svg = chart.draw().into_string();
        assert!(svg.contains("d=\"M165.3 214.0L408.0 18.0\""), "{svg}");
        assert!(svg.contains("aria-label=\"Accuracy by epoch; &lt;b&gt;: from 50 % to 75 %\""), "{svg}");
        assert!(svg.contains("data-values=\"1 50,3 75\"") && !svg.contains("none") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn no_share_is_above_a_whole() {
        let curve = Curve::new("training", "c0", vec![[1.0, 1.0], [2.0, 1.0]]);
        let svg = Chart { x: "epoch", percent: true, curves: vec![curve], ..Chart::default() }.draw().into_string();
        assert!(svg.contains(">100</text>") && svg.contains(">0</text>") && !svg.contains(">110</text>"), "{svg}");
        assert!(svg.contains("d=\"M226.0 18.0L408.0 18.0\""), "{svg}");
    }

    #[test]
    fn long_labels_have_room() {
        let of = |high: f64| {
            let curve = Curve::new("ratio", "c0", vec![[0.0, 1.0], [4.0, high]]);
            let logarithmic = [false, true];
            Chart { x: "layer", logarithmic, curves: vec![curve], ..Chart::default() }.draw().into_string()
        };
        let (low, high) = (of(10.0), of(500_000.0));
        assert!(low.contains("data-x=\"0 4 44 408\"") && low.contains("<line x1=\"44\""), "{low}");
        assert!(high.contains("data-x=\"0 4 62 408\"") && high.contains("<text x=\"56\""), "{high}");
        assert!(high.contains("text-anchor=\"end\">100,000</text>") && high.contains("d=\"M62.0 "), "{high}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let curve = Curve::new("gradient", "c0", vec![[1.0, 0.0]]);
        let empty = Chart { title: "Loss".into(), x: "step", legend: true, ..Chart::default() };
        let below = Chart { curves: vec![curve], logarithmic: [false, true], ..empty.clone() };
        assert_eq!((empty.draw().into_string(), below.draw().into_string()), (String::new(), String::new()));
    }

    #[test]
    fn logarithmic_axes_and_error_bars() {
        let points = vec![[0.0, 1.0], [10.0, 1e-6], [1000.0, 1e-2]];
        let spread = vec![[0.5, 2.0], [-1.0, 1e-4], [1e-3, 1.0]];
        let curve = Curve { spread, marker: Marker::Square, ..Curve::new("dense", "c0", points) };
        let chart = Chart { x: "depth", logarithmic: [true; 2], curves: vec![curve], ..Chart::default() };
        let svg = chart.clone().draw().into_string();
        assert!(svg.contains("d=\"M46.0 214.0L408.0 83.3\"") && svg.contains("data-logarithmic"), "{svg}");
        assert!(svg.contains("M43 214h6m-3 0V148.7m-3 0h6M405 116h6m-3 0V18m-3 0h6"), "{svg}");
        let many: Vec<[f64; 2]> = (1..=30).map(|i| [f64::from(i), 0.5]).collect();
        let curve = Curve { spread: vec![[0.25, 1.0]; 30], ..Curve::new("many", "c0", many) };
        let svg = Chart { curves: vec![curve], ..chart }.draw().into_string();
        assert!(svg.contains("class=\"band c0\"") && !svg.contains("class=\"bars"), "{svg}");
    }
}

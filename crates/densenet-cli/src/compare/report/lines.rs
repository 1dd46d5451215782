//! Curves of means over seeds, with their deviation.

use std::collections::BTreeMap;

use densenet::config::{Activation, Joining};

use super::folder::Spread;
use crate::report::chart::{Curve, Marker};

/// Colours of the page's style; the first three are those of the three ways of joining.
const COLOURS: usize = 8;

/// Marks, one after the other, so that lines of the same joining differ in more than their colour.
const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

/// Values of networks by x, in the order in which the networks first came.
#[derive(Default)]
pub struct Lines(Vec<Line>);

struct Line {
    joining: Joining,
    name: String,
    values: BTreeMap<u64, Vec<f64>>,
}

impl Lines {
    /// Adds a value `y` of the network `name`.
    pub fn add(&mut self, joining: Joining, name: &str, x: u64, y: f64) {
        let known = self.0.iter().position(|line| line.name == name);
        let place = known.unwrap_or_else(|| {
            self.0.push(Line { joining, name: name.into(), values: BTreeMap::new() });
            self.0.len() - 1
        });
        self.0[place].values.entry(x).or_default().push(y);
    }

    /// The curves: arithmetic means, or geometric ones for a `logarithmic` scale.
    pub fn curves(self, logarithmic: bool) -> Vec<Curve> {
        let mut others = 3..;
        let mut taken = [false; 3];
        let curve = |(place, line): (usize, Line)| {
            let first = !std::mem::replace(&mut taken[line.joining as usize], true);
            let colour = if first { line.joining as usize } else { others.next().unwrap_or_default() % COLOURS };
            line.curve(colour, MARKERS[place % MARKERS.len()], logarithmic)
        };
        self.0.into_iter().enumerate().map(curve).collect()
    }
}

impl Line {
    fn curve(self, colour: usize, marker: Marker, logarithmic: bool) -> Curve {
        let scale: [fn(f64) -> f64; 2] = if logarithmic { [f64::ln, f64::exp] } else { [|y| y, |y| y] };
        let [there, back] = scale;
        let points = self.values.into_iter();
        let points = points.filter_map(|(x, values)| Some((x as f64, Spread::of(values.into_iter().map(there))?)));
        let points: Vec<(f64, Spread)> = points.collect();
        let ends = |Spread { mean, deviation, .. }: &Spread| {
            let deviation = deviation.unwrap_or(0.0);
            [back(mean - deviation), back(mean + deviation)]
        };
        let several = points.iter().any(|(_, spread)| spread.deviation.is_some());
        let spread = if several { points.iter().map(|(_, spread)| ends(spread)).collect() } else { Vec::new() };
        let dashes = match self.joining {
            Joining::Dense => "",
            Joining::Residual => " dashed",
            Joining::Plain => " dotted",
        };
        let points = points.into_iter().map(|(x, spread)| [x, back(spread.mean)]).collect();
        Curve { marker, spread, ..Curve::new(self.name, format!("c{colour}{dashes}"), points) }
    }
}

/// A kind of network by name.
pub fn kind(joining: Joining, activation: Activation) -> String {
    let joining = match joining {
        Joining::Dense => "dense",
        Joining::Residual => "residual",
        Joining::Plain => "plain",
    };
    match activation {
        Activation::Pre => joining.into(),
        Activation::Post => format!("{joining}, post-activation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_deviations_of_seeds() {
        let mut lines = Lines::default();
        for (x, y) in [(20, 1.0), (10, 1e-4), (10, 1e-2), (20, f64::NAN)] {
            lines.add(Joining::Plain, "plain", x, y);
        }
        lines.add(Joining::Plain, "plain, post-activation", 5, 2.0);
        let curves = lines.curves(true);
        let rounded = |value: f64| (1e9 * value).round() / 1e9;
        assert_eq!(
            curves[0].points.iter().flatten().copied().map(rounded).collect::<Vec<_>>(),
            [10.0, 1e-3, 20.0, 1.0]
        );
        let [low, high] = curves[0].spread[0];
        assert!((low * high - 1e-6).abs() < 1e-12 && (high / low).log10() - 8f64.sqrt() < 1e-9, "{low} to {high}");
        assert_eq!((curves[0].spread[1], curves[0].style.as_str()), ([1.0, 1.0], "c2 dotted"));
        assert_eq!((curves[1].spread.len(), curves[1].style.as_str()), (0, "c3 dotted"));
    }
}

//! Axes: round numbers that a curve's values lie between.

use super::figures::short;
use crate::output::count;

/// Where an axis begins and ends, and how far apart its ticks are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// The lowest value; its logarithm to base 10 on a logarithmic axis.
    pub low: f64,
    /// The highest value, above the lowest, likewise.
    pub high: f64,
    step: f64,
    logarithmic: bool,
}

/// Decades from which on the ticks of a logarithmic axis are at powers of ten, without 2 and 5 between them.
const MANY_DECADES: f64 = 2.6;

impl Axis {
    /// From zero to the whole number at or above `high`, with about that many `ticks`, at whole numbers.
    pub fn whole(high: f64, ticks: f64) -> Self {
        let high = high.ceil().max(1.0);
        Self { low: 0.0, high, step: round_step(high / ticks).max(1.0), logarithmic: false }
    }

    /// From the tick at or below `low` to the one at or above `high`, with about that many `ticks`.
    pub fn round(low: f64, high: f64, ticks: f64) -> Self {
        let high = if high > low { high } else { low + if low == 0.0 { 1.0 } else { 0.1 * low.abs() } };
        let step = round_step((high - low) / ticks);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { low, high, step, logarithmic: false }
    }

    /// The same of shares in percent, with no tick below 0 or above 100; from 0 to 100 where all are one.
    pub fn shares(low: f64, high: f64, ticks: f64) -> Self {
        let (low, high) = (low.max(0.0), high.min(100.0));
        if low < high { Self::round(low, high, ticks) } else { Self::round(0.0, 100.0, ticks) }
    }

    /// From the tick at or below `low`, which is above 0, to the one at or above `high`, on a logarithmic scale.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let decades = (high / low).log10();
        let step = if decades < MANY_DECADES { 0.0 } else { (decades / 6.0).ceil() };
        let beyond = step.max(1.0);
        let ends = [low.log10().floor() - beyond, high.log10().ceil() + beyond];
        let axis = Self { low: ends[0], high: ends[1], step, logarithmic: true };
        let ticks: Vec<f64> = axis.ticks().collect();
        let below = ticks.iter().rposition(|tick| *tick <= low * (1.0 + 1e-9)).unwrap_or(0);
        let above = ticks.iter().position(|tick| *tick >= high * (1.0 - 1e-9)).unwrap_or(ticks.len() - 1);
        Self { low: ticks[below].log10(), high: ticks[above.max(below + 1)].log10(), ..axis }
    }

    /// The same without what is more than a little beyond `low` and `high`, as long as two ticks are left.
    pub fn close_to(self, low: f64, high: f64) -> Self {
        let [low, high] = if self.logarithmic { [low.log10(), high.log10()] } else { [low, high] };
        let margin = 0.04 * (high - low);
        let close = Self { low: self.low.max(low - margin), high: self.high.min(high + margin), ..self };
        if close.low < close.high && close.ticks().count() > 1 { close } else { self }
    }

    /// The values of the ticks.
    pub fn ticks(&self) -> Box<dyn Iterator<Item = f64>> {
        let Self { low, high, step, logarithmic } = *self;
        if logarithmic && step == 0.0 {
            let within = move |value: &f64| (low - 1e-9..=high + 1e-9).contains(&value.log10());
            let decades = low.floor() as i32..=high.ceil() as i32;
            return Box::new(
                decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade))).filter(within),
            );
        }
        let count = |value: f64| value / step;
        let (first, last) = ((count(low) - 1e-9).ceil() as i64, (count(high) + 1e-9).floor() as i64);
        let tick = move |tick: i64| tick as f64 * step;
        Box::new((first..=last).map(move |at| if logarithmic { 10f64.powf(tick(at)) } else { tick(at) }))
    }

    /// A tick's `value`, with as many digits as the ticks need to differ.
    pub fn label(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".into();
        }
        if self.logarithmic {
            return power(value);
        }
        if self.step < 1e-3 || self.step >= 1e6 {
            return format!("{value:.1e}").replace(".0e", "e");
        }
        let digits = (-(self.step.log10() + 1e-9).floor()).max(0.0) as usize;
        format!("{value:.digits$}")
    }

    /// Where `value` lies between `start`, for the lowest, and `end`; far below `start` where it has no logarithm.
    pub fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        start + (value - self.low) / (self.high - self.low) * (end - start)
    }
}

/// A tick of a logarithmic axis: `1e-5`, `0.01`, `500`, `20,000`, `5 M`.
fn power(value: f64) -> String {
    match value {
        ..9e-4 => format!("{value:.0e}"),
        ..1e3 => short(value),
        ..1e6 => count(value.round() as u64),
        ..1e9 => format!("{} M", short(value / 1e6)),
        _ => format!("{} G", short(value / 1e9)),
    }
}

/// The smallest of 1, 2, 5 and 10 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Axis::round(0.0, 2.31, 4.0)), ["0", "1", "2", "3"]);
        assert_eq!(labels(Axis::round(61.3, 95.4, 5.0)), ["60", "70", "80", "90", "100"]);
        assert_eq!(labels(Axis::round(0.0, 0.1, 4.0)), ["0", "0.05", "0.10"]);
        assert_eq!(labels(Axis::round(0.0, 0.0008, 4.0)), ["0", "2e-4", "4e-4", "6e-4", "8e-4"]);
        assert_eq!(labels(Axis::whole(39.97, 6.0)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(Axis::whole(3.0, 6.0)), ["0", "1", "2", "3"]);
    }

    #[test]
    fn shares_are_within_a_whole() {
        let all = ["0", "20", "40", "60", "80", "100"];
        for one in [0.0, 50.0, 97.5, 100.0] {
            assert_eq!(labels(Axis::shares(one, one, 5.0)), all, "{one}");
        }
        assert_eq!(labels(Axis::shares(-3.0, 104.0, 5.0)), all);
        assert_eq!(labels(Axis::shares(61.3, 95.4, 5.0)), ["60", "70", "80", "90", "100"]);
        for low in [0.0, 12.0, 51.7, 93.0, 98.9, 99.99] {
            let axis = Axis::shares(low, 100.0, 5.0);
            assert!(axis.low <= low + 1e-9 && (axis.high - 100.0).abs() < 1e-9, "{axis:?}");
        }
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_are_round_numbers() {
        let sizes = ["500", "1,000", "2,000", "5,000", "10,000", "20,000", "50,000", "100,000"];
        assert_eq!(labels(Axis::logarithmic(500.0, 60_000.0)), sizes);
        assert_eq!(labels(Axis::logarithmic(1.7e6, 9e6)), ["1 M", "2 M", "5 M", "10 M"]);
        assert_eq!(labels(Axis::logarithmic(3e-5, 0.4)), ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(Axis::logarithmic(2e-12, 0.5)), ["1e-12", "1e-10", "1e-8", "1e-6", "1e-4", "0.01", "1"]);
        assert_eq!(labels(Axis::logarithmic(500.0, 60_000.0).close_to(500.0, 60_000.0)), sizes[..7]);
        for [low, high] in [[3e5, 4e5], [7.0, 7.0]] {
            let axis = Axis::logarithmic(low, high);
            assert_eq!(axis.close_to(low, high), axis);
        }
        let axis = Axis::logarithmic(10.0, 1000.0);
        assert_eq!([10.0, 100.0, 1000.0].map(|value| axis.place(value, 0.0, 8.0).round()), [0.0, 4.0, 8.0]);
    }

    #[test]
    fn one_value_has_an_axis_too() {
        for value in [1e-9, 0.3, 1.0, 5.0, 7e9] {
            let axis = Axis::logarithmic(value, value);
            assert!(axis.low <= value.log10() + 1e-9 && value.log10() <= axis.high && axis.low < axis.high, "{axis:?}");
        }
        for value in [0.0, 0.1, -3.0, 1e-9, 1e9] {
            let axis = Axis::round(value, value, 4.0);
            assert!(axis.low <= value && value <= axis.high && axis.low < axis.high, "{axis:?}");
            assert!((2..=12).contains(&axis.ticks().count()), "{value}: {axis:?}");
        }
    }
}

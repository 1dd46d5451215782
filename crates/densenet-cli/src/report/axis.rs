//! Axes: round numbers that a curve's values lie between.

/// From where to where an axis goes, and how far its ticks are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// The lowest value.
    pub low: f64,
    /// The highest value, above the lowest.
    pub high: f64,
    step: f64,
}

impl Axis {
    /// From zero to the whole number from `high` on, with about so many `ticks`, at whole numbers.
    pub fn whole(high: f64, ticks: f64) -> Self {
        let high = high.ceil().max(1.0);
        Self { low: 0.0, high, step: round_step(high / ticks).max(1.0) }
    }

    /// From the tick up to `low` to the one from `high` on, with about so many `ticks`.
    pub fn round(low: f64, high: f64, ticks: f64) -> Self {
        let high = if high > low { high } else { low + if low == 0.0 { 1.0 } else { 0.1 * low.abs() } };
        let step = round_step((high - low) / ticks);
        Self { low: (low / step + 1e-9).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    /// The values of the ticks.
    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let Self { low, high, step } = *self;
        let count = |value: f64| value / step;
        let (first, last) = ((count(low) - 1e-9).ceil() as i64, (count(high) + 1e-9).floor() as i64);
        (first..=last).map(move |tick| tick as f64 * step)
    }

    /// A tick's `value` in as many digits as ticks need to differ.
    pub fn label(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".into();
        }
        if self.step < 1e-3 || self.step >= 1e6 {
            return format!("{value:.1e}").replace(".0e", "e");
        }
        let digits = (-(self.step.log10() + 1e-9).floor()).max(0.0) as usize;
        format!("{value:.digits$}")
    }

    /// Where `value` lies between `start`, for the lowest, and `end`.
    pub fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        start + (value - self.low) / (self.high - self.low) * (end - start)
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
    fn one_value_has_an_axis_too() {
        for value in [0.0, 0.1, -3.0, 1e-9, 1e9] {
            let axis = Axis::round(value, value, 4.0);
            assert!(axis.low <= value && value <= axis.high && axis.low < axis.high, "{axis:?}");
            assert!((2..=12).contains(&axis.ticks().count()), "{value}: {axis:?}");
        }
    }
}

//! Differences in words.

use super::answer::{Comparison, Unit};
use super::claims::{Claimed, Verdict};
use super::folder::Spread;
use super::interval::Estimate;
use crate::output::counted;
use crate::report::figures::{capitalised, percent};

impl Unit {
    /// A difference with its sign, without its unit.
    pub fn number(self, difference: f64) -> String {
        let text = match self {
            Self::Accuracy => format!("{:+.2}", 100.0 * difference),
            Self::Loss => format!("{difference:+.3}"),
            Self::LogCount => format!("{:+.1}", 100.0 * difference.exp_m1()),
            Self::LogFactor => factor(difference.exp()),
        };
        text.replace('-', "−")
    }

    /// The unit of differences, as written after them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => " points",
            Self::Loss => "",
            Self::LogCount => "\u{a0}%",
            Self::LogFactor => " times",
        }
    }

    /// A difference with its unit.
    pub fn difference(self, difference: f64) -> String {
        self.number(difference) + self.name()
    }

    /// The ends of an interval, without their unit.
    pub fn interval(self, [low, high]: [f64; 2]) -> String {
        if low == high { "exact".into() } else { format!("{} to {}", self.number(low), self.number(high)) }
    }

    /// What is compared of one kind of network: its mean and deviation.
    pub fn value(self, Spread { mean, deviation, .. }: &Spread) -> String {
        let with = |mean: String, deviation: Option<String>| match deviation {
            Some(deviation) => format!("{mean} ± {deviation}"),
            None => mean,
        };
        match self {
            Self::Accuracy => with(percent(*mean), deviation.map(|deviation| format!("{:.2}", 100.0 * deviation))),
            Self::Loss => with(format!("{mean:.3}"), deviation.map(|deviation| format!("{deviation:.3}"))),
            Self::LogCount => crate::output::count(mean.exp().round() as u64),
            Self::LogFactor => format!("{} times", factor(mean.exp())),
        }
    }

    /// The border of a claim.
    fn border(self, border: f64) -> String {
        match self {
            Self::Accuracy if border != 0.0 => self.number(border).replace(".00", "") + " point",
            Self::LogFactor => "1".into(),
            _ => "0".into(),
        }
    }
}

/// Three significant digits.
fn factor(factor: f64) -> String {
    match factor {
        1000.0..1e6 => crate::output::count(factor.round() as u64),
        100.0..1000.0 => format!("{factor:.0}"),
        10.0..100.0 => format!("{factor:.1}"),
        0.1..10.0 => format!("{factor:.2}"),
        0.001..0.1 => format!("{factor:.4}"),
        _ => format!("{factor:.1e}"),
    }
}

impl Verdict {
    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "not held",
            Self::NotDecided => "not decided",
        }
    }
}

impl Comparison {
    /// What is compared, what came of it, and what that says of the claim.
    pub fn in_words(&self) -> String {
        let [first, second] = self.kinds;
        let between = match self.unit {
            Unit::Accuracy | Unit::Loss => "minus",
            Unit::LogCount | Unit::LogFactor => "against",
        };
        let subject = format!("{}, {first} {between} {second}", capitalised(self.of));
        let why = if self.diverged { ", because a run that it needs diverged" } else { "" };
        let Some(difference) = &self.difference else {
            let verdict = if self.diverged { self.verdict.in_words() } else { "no such runs yet" };
            return format!("{subject}: {verdict}{why}.");
        };
        let (side, border) = match self.claimed {
            Claimed::Above(border) => ("above", border),
            Claimed::Below(border) => ("below", border),
        };
        format!(
            "{subject}: {} ({}){}. Claimed: {side} {}. {}{why}.",
            self.unit.difference(difference.mean),
            self.certainty(difference),
            self.of_either(),
            self.unit.border(border),
            capitalised(self.verdict.in_words()),
        )
    }

    /// How sure a difference is, and by what.
    fn certainty(&self, Estimate { interval, seeds, .. }: &Estimate) -> String {
        let interval = match interval {
            None => "no interval, because one seed says nothing about others".into(),
            Some([low, high]) if low == high => "exact".into(),
            Some(ends) => format!("95 % interval {}{}", self.unit.interval(*ends), self.unit.name()),
        };
        let alone = match (*seeds, self.unit) {
            (1, Unit::Accuracy) => " from the error of the test pictures alone",
            _ => "",
        };
        format!("{interval}{alone}; {}, {}", counted(*seeds, "seed"), counted(self.settings, "setting"))
    }

    /// What the difference is of, where it is of one setting.
    fn of_either(&self) -> String {
        let [row] = &self.rows[..] else { return String::new() };
        let [first, second] =
            [0, 1].map(|which| format!("{} {}", self.kinds[which], self.unit.value(&row.values[which])));
        format!(": {first}, {second}, {}", row.setting)
    }
}

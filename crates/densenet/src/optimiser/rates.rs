//! Learning rates for the parts of a parameter arena.

use std::ops::Range;

/// The learning rate of a step: one for all parameters, or one for each part of their arena.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(Vec<(usize, f64)>);

impl From<f64> for Rates {
    fn from(rate: f64) -> Self {
        Self(vec![(0, rate)])
    }
}

impl Rates {
    /// A rate for the parameters from each place up to the next; places ascend and the first is 0. Parameters with rate
    /// 0 do not change, while their momentum and moments still follow their gradients.
    pub fn from_places(places: Vec<(usize, f64)>) -> Self {
        assert!(places.first().is_some_and(|&(first, _)| first == 0), "the first part begins at 0");
        assert!(places.is_sorted_by_key(|&(place, _)| place), "places ascend");
        Self(places)
    }

    /// The index of the first parameter that learns.
    pub fn learns_from(&self) -> Option<usize> {
        self.0.iter().find(|(_, rate)| *rate > 0.0).map(|&(place, _)| place)
    }

    /// The parts of an arena of `parameters` parameters, each with its rate.
    pub(super) fn parts(&self, parameters: usize) -> impl Iterator<Item = (Range<usize>, f64)> {
        let ends = self.0.iter().skip(1).map(|&(place, _)| place).chain([parameters]);
        self.0.iter().zip(ends).map(|(&(start, rate), end)| (start..end, rate))
    }
}

#[cfg(test)]
mod tests {
    use crate::optimiser::{AdamW, Rates, Sgd};

    /// Each part moves as if it were alone with its rate, and a part with rate 0 does not move.
    #[test]
    fn parts_have_rates_of_their_own() {
        let rates = || Rates::from_places(vec![(0, 0.0), (2, 0.1), (3, 0.01)]);
        let gradients = [1.0, -2.0, 3.0, 0.5, -0.25];
        let (mut all, mut adam) = ([1.0f64; 5], [1.0f64; 5]);
        let (mut sgd, mut adamw) = (Sgd::new(5, 0.9, true, 0.1), AdamW::new(5, 0.1));
        for _ in 0..3 {
            sgd.step(rates(), &mut all, &gradients[..]);
            adamw.step(rates(), &mut adam, &gradients[..]);
        }
        for (i, rate) in [0.0, 0.0, 0.1, 0.01, 0.01].into_iter().enumerate() {
            let (mut one, mut other) = ([1.0f64], [1.0f64]);
            let (mut sgd, mut adamw) = (Sgd::new(1, 0.9, true, 0.1), AdamW::new(1, 0.1));
            for _ in 0..3 {
                sgd.step(rate, &mut one, &gradients[i..=i]);
                adamw.step(rate, &mut other, &gradients[i..=i]);
            }
            assert_eq!((all[i], adam[i]), (one[0], other[0]), "{i}");
        }
        assert_eq!((all[1], adam[1]), (1.0, 1.0));
    }
}

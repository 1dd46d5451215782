//! Correct and wrong decisions about a class or label, and the shares computed from them.

/// In how many pictures a class or label was found, and how many show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pictures that show it and in which it was found.
    pub true_positives: u64,
    /// Pictures that do not show it and in which it was found.
    pub false_positives: u64,
    /// Pictures that show it and in which it was not found.
    pub false_negatives: u64,
    /// Pictures that do not show it and in which it was not found.
    pub true_negatives: u64,
}

impl Counts {
    /// Counts `decisions`: for each picture, whether it was found, and whether the picture shows it.
    pub fn of(decisions: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for (found, shown) in decisions {
            *match (found, shown) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, true) => &mut counts.false_negatives,
                (false, false) => &mut counts.true_negatives,
            } += 1;
        }
        counts
    }

    /// Number of decisions.
    pub fn all(&self) -> u64 {
        self.found() + self.false_negatives + self.true_negatives
    }

    /// Number of pictures that show it.
    pub fn support(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Number of pictures in which it was found.
    pub fn found(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// Share of correct decisions; from 0 to 1, and 0 if there are none.
    pub fn accuracy(&self) -> f64 {
        share(self.true_positives + self.true_negatives, self.all())
    }

    /// Share of the pictures in which it was found that show it; from 0 to 1, and 0 if it was found in none, as in
    /// scikit-learn.
    pub fn precision(&self) -> f64 {
        share(self.true_positives, self.found())
    }

    /// Share of the pictures that show it in which it was found; from 0 to 1, and 0 if none shows it, as in
    /// scikit-learn.
    pub fn recall(&self) -> f64 {
        share(self.true_positives, self.support())
    }

    /// The harmonic mean of precision and recall; from 0 to 1, and 0 if none shows it and it was found in none.
    pub fn f1(&self) -> f64 {
        share(2 * self.true_positives, self.support() + self.found())
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let counts = Counts::of([(true, true), (true, false), (true, true), (false, true), (false, false)]);
        assert_eq!((counts.all(), counts.support(), counts.found()), (5, 3, 3));
        assert_eq!(
            [counts.accuracy(), counts.precision(), counts.recall(), counts.f1()],
            [0.6, 2. / 3., 2. / 3., 2. / 3.]
        );
    }

    #[test]
    fn a_division_by_zero_is_zero() {
        let none = Counts::of([(false, false)]);
        assert_eq!([none.accuracy(), none.precision(), none.recall(), none.f1()], [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(Counts::default().accuracy(), 0.0);
    }
}

//! Pictures ranked by a score: the areas under the ROC and the precision-recall curve.

/// Pictures from the highest score to the lowest, and which of them are positive.
#[derive(Clone, Debug)]
pub struct Ranked {
    pictures: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    picture: u32,
    positive: bool,
    /// Whether the next one has a lower score, or there is no next one.
    last_of_tie: bool,
}

impl Ranked {
    /// Ranks pictures, given as number, score and whether it is positive. Scores must not be NaN.
    pub fn new(pictures: impl IntoIterator<Item = (usize, f64, bool)>) -> Self {
        let mut sorted: Vec<(usize, f64, bool)> = pictures.into_iter().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let place = |(rank, &(picture, score, positive)): (usize, &(usize, f64, bool))| Place {
            picture: picture as u32,
            positive,
            last_of_tie: sorted.get(rank + 1).is_none_or(|next| next.1 != score),
        };
        Self { pictures: sorted.iter().enumerate().map(place).collect() }
    }

    /// For each score from the highest down, how many positive and negative pictures have it, where picture `i` counts
    /// `weight(i)` times.
    fn ties(&self, weight: impl Fn(usize) -> u64) -> impl Iterator<Item = (u64, u64)> {
        let (mut positive, mut negative) = (0, 0);
        self.pictures.iter().filter_map(move |place| {
            *if place.positive { &mut positive } else { &mut negative } += weight(place.picture as usize);
            place.last_of_tie.then(|| (std::mem::take(&mut positive), std::mem::take(&mut negative)))
        })
    }

    /// The area under the ROC curve: the share of pairs of a positive and a negative picture in which the positive one
    /// has the higher score; equal scores count half. `None` if there are no pairs.
    pub fn roc_auc(&self) -> Option<f64> {
        self.weighted_roc_auc(|_| 1)
    }

    /// The same where picture `i` counts `weight(i)` times.
    pub fn weighted_roc_auc(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        let (mut positives, mut negatives, mut half_pairs) = (0, 0, 0);
        for (positive, negative) in self.ties(weight) {
            half_pairs += negative * (2 * positives + positive);
            positives += positive;
            negatives += negative;
        }
        let pairs = positives * negatives;
        (pairs > 0).then(|| half_pairs as f64 / (2 * pairs) as f64)
    }

    /// The average precision: for each positive picture the share of positives among those with the same or a higher
    /// score, averaged. `None` if there is no positive picture.
    pub fn average_precision(&self) -> Option<f64> {
        let (mut positives, mut above, mut sum) = (0, 0, 0.0);
        for (positive, negative) in self.ties(|_| 1) {
            positives += positive;
            above += positive + negative;
            sum += positive as f64 * positives as f64 / above as f64;
        }
        (positives > 0).then(|| sum / positives as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(pictures: &[(f64, bool)]) -> Ranked {
        Ranked::new(pictures.iter().enumerate().map(|(picture, &(score, positive))| (picture, score, positive)))
    }

    #[test]
    fn areas_by_hand() {
        let pictures = ranked(&[(0.1, false), (0.8, true), (0.4, true), (0.4, false)]);
        assert_eq!(pictures.roc_auc(), Some(3.5 / 4.0));
        assert_eq!(pictures.average_precision(), Some((1.0 + 2.0 / 3.0) / 2.0));
    }

    #[test]
    fn one_kind_alone_has_no_roc() {
        assert_eq!(ranked(&[(0.5, true)]).roc_auc(), None);
        assert_eq!(ranked(&[(0.5, true)]).average_precision(), Some(1.0));
        assert_eq!(ranked(&[(0.5, false)]).average_precision(), None);
        assert_eq!(ranked(&[]).roc_auc(), None);
    }

    #[test]
    fn a_weight_is_as_many_pictures() {
        let pictures = [(0.1, false), (0.8, true), (0.4, true), (0.4, false), (0.3, true)];
        let weights = [2, 0, 3, 1, 1];
        let repeated: Vec<_> = pictures.iter().zip(weights).flat_map(|(&p, n)| std::iter::repeat_n(p, n)).collect();
        let weighted = ranked(&pictures).weighted_roc_auc(|picture| weights[picture] as u64);
        assert_eq!(weighted, ranked(&repeated).roc_auc());
    }
}

//! Differences between runs that share their seed, and how far their mean would move with other seeds and other test
//! pictures.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::figures::mean_and_deviation;

/// Quantiles of Student's t at 97.5 % for 1 to 30 degrees of freedom; for more, the last is a little wide.
const STUDENT_T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// That of the normal distribution.
const NORMAL: f64 = 1.960;

/// One difference for each seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The differences by seed, all finite.
    pub differences: BTreeMap<u64, f64>,
    /// What is known about how other test pictures would move their mean.
    pub test: TestError,
}

/// How other test pictures would move a mean difference.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TestError {
    /// What they would do is not known.
    #[default]
    Unknown,
    /// No test pictures are in it.
    None,
    /// The mean difference is the mean of these, one for each test picture.
    OfPictures(Vec<f64>),
}

impl TestError {
    /// That of the sum of differences times their `weights`, all on the same test pictures.
    pub fn sum(terms: &[(f64, &Self)]) -> Self {
        let mut sum: Option<Vec<f64>> = None;
        for (weight, term) in terms {
            match (term, &mut sum) {
                (Self::Unknown, _) => return Self::Unknown,
                (Self::None, _) => {}
                (Self::OfPictures(values), None) => sum = Some(values.iter().map(|v| weight * v).collect()),
                (Self::OfPictures(values), Some(sum)) => {
                    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
        sum.map_or(Self::None, Self::OfPictures)
    }

    /// Variance of the mean.
    fn variance(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::None => Some(0.0),
            Self::OfPictures(values) => {
                let (_, deviation) = mean_and_deviation(values)?;
                Some(deviation.powi(2) / values.len() as f64)
            }
        }
    }
}

/// A mean difference and the ends of its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds, with n - 1; none for a single seed.
    pub deviation: Option<f64>,
    /// The interval; none where a single seed says nothing about others.
    pub interval: Option<[f64; 2]>,
    /// Seeds.
    pub seeds: usize,
}

impl Sample {
    /// The mean of several samples, seed by seed, and how many of them it is of: those that have all seeds of the one
    /// with the most, so that every seed counts the same settings. Their test pictures are the same.
    pub fn mean_of(samples: &[&Self]) -> (Self, usize) {
        let most = samples.iter().rev().max_by_key(|sample| sample.differences.len());
        let Some(most) = most.filter(|most| !most.differences.is_empty()) else { return Default::default() };
        let seeds: Vec<u64> = most.differences.keys().copied().collect();
        let has_all = |sample: &&&Self| seeds.iter().all(|seed| sample.differences.contains_key(seed));
        let taken: Vec<_> = samples.iter().filter(has_all).collect();
        let share = 1.0 / taken.len() as f64;
        let mean = |seed: u64| (seed, share * taken.iter().map(|sample| sample.differences[&seed]).sum::<f64>());
        let tests: Vec<(f64, &TestError)> = taken.iter().map(|sample| (share, &sample.test)).collect();
        (Self { differences: seeds.into_iter().map(mean).collect(), test: TestError::sum(&tests) }, taken.len())
    }

    /// The differences of this sample less those of `other`, of the seeds that both have.
    pub fn less(&self, other: &Self) -> Self {
        let both = self.differences.iter().filter_map(|(&seed, a)| Some((seed, a - other.differences.get(&seed)?)));
        Self { differences: both.collect(), test: TestError::sum(&[(1.0, &self.test), (-1.0, &other.test)]) }
    }

    /// The mean with its interval: Student's t over the seeds and the normal error of the test pictures, added as
    /// squares. A single seed has only the latter. None without seeds.
    pub fn estimate(&self) -> Option<Estimate> {
        let values: Vec<f64> = self.differences.values().copied().collect();
        let seeds = values.len();
        let of_seeds = mean_and_deviation(&values);
        let mean = of_seeds.map_or_else(|| values.first().copied(), |(mean, _)| Some(mean))?;
        let variance = self.test.variance();
        let of_test = NORMAL.powi(2) * variance.unwrap_or(0.0);
        let half = match of_seeds {
            Some((_, deviation)) => {
                let t = STUDENT_T[(seeds - 1).min(STUDENT_T.len()) - 1];
                Some((t.powi(2) * deviation.powi(2) / seeds as f64 + of_test).sqrt())
            }
            None => variance.map(|_| of_test.sqrt()),
        };
        let interval = half.map(|half| [mean - half, mean + half]);
        Some(Estimate { mean, deviation: of_seeds.map(|(_, deviation)| deviation), interval, seeds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(differences: &[(u64, f64)], test: TestError) -> Sample {
        Sample { differences: differences.iter().copied().collect(), test }
    }

    /// Test pictures whose mean has this variance.
    fn pictures(variance: f64) -> TestError {
        let apart = variance.sqrt();
        TestError::OfPictures(vec![1.0 - apart, 1.0 + apart])
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    /// `scipy.stats.t.interval(0.95, 2, loc=2, scale=scipy.stats.sem([1, 2, 3]))` is -0.4841 to 4.4841.
    #[test]
    fn seeds_alone_are_students_interval() {
        let estimate = sample(&[(1, 1.0), (2, 2.0), (3, 3.0)], TestError::Unknown).estimate().unwrap();
        let [low, high] = estimate.interval.unwrap();
        assert!(near(low, -0.4841) && near(high, 4.4841) && estimate.deviation == Some(1.0), "{estimate:?}");
        assert_eq!(sample(&[(1, 1.0)], TestError::Unknown).estimate().unwrap().interval, None);
        assert_eq!(sample(&[], TestError::None).estimate(), None);
    }

    #[test]
    fn the_test_pictures_widen_it_and_are_all_that_one_seed_has() {
        let ends = |of: &[(u64, f64)]| sample(of, pictures(0.25)).estimate().unwrap().interval.unwrap();
        let [low, high] = ends(&[(7, 1.0)]);
        assert!(near(low, 0.02) && near(high, 1.98), "{low} to {high}");
        let half = (2.4841f64.powi(2) + 0.98f64.powi(2)).sqrt();
        let [low, high] = ends(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        assert!(near(low, 2.0 - half) && near(high, 2.0 + half), "{low} to {high}");
        let many: Vec<(u64, f64)> = (0..100).map(|seed| (seed, (seed % 2) as f64)).collect();
        let [low, high] = sample(&many, TestError::Unknown).estimate().unwrap().interval.unwrap();
        assert!((high - low - 2.0 * 2.042 * 0.050_252).abs() < 1e-4, "{low} to {high}");
    }

    #[test]
    fn a_mean_takes_the_samples_that_have_all_seeds() {
        let of = |values: [f64; 2]| TestError::OfPictures(values.to_vec());
        let a = sample(&[(1, 1.0), (2, 2.0)], of([0.0, 3.0]));
        let b = sample(&[(1, 3.0), (2, 6.0), (3, 0.0)], of([2.0, 4.0]));
        assert_eq!(Sample::mean_of(&[&a, &b]), (b.clone(), 1));
        let c = sample(&[(1, 3.0), (2, 6.0)], of([4.0, 5.0]));
        assert_eq!(Sample::mean_of(&[&a, &c]), (sample(&[(1, 2.0), (2, 4.0)], of([2.0, 4.0])), 2));
        assert_eq!(Sample::mean_of(&[]), (Sample::default(), 0));
        assert_eq!(b.less(&a), sample(&[(1, 2.0), (2, 4.0)], of([2.0, 1.0])));
        assert_eq!(TestError::sum(&[(1.0, &of([2.0, 1.0])), (1.0, &TestError::None)]), of([2.0, 1.0]));
        assert_eq!(TestError::sum(&[(1.0, &of([2.0, 1.0])), (1.0, &TestError::Unknown)]), TestError::Unknown);
    }
}

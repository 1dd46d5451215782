//! How much a figure would vary with other pictures of the same kind: the percentile bootstrap (Efron 1979).

use densenet_kernels::random::Stream;
use rayon::prelude::*;

/// Number of resamples for an interval.
pub const RESAMPLES: u64 = 1000;

/// The ends of an interval that contains the true value with 95 % confidence.
pub type Interval = [f64; 2];

/// 95 % intervals for the values of `statistics` on resamples of this many `pictures`; `statistics` is given the number
/// of times that each picture was drawn. A statistic that a resample does not define is left out of its interval; if no
/// resample defines it, the interval is `None`.
///
/// Each of [`RESAMPLES`] resamples draws as many pictures as there are, with replacement; the draws depend only on
/// `seed` and the resample's number, so the intervals are bitwise the same with any number of threads.
pub fn bootstrap<const K: usize>(
    pictures: usize,
    seed: u64,
    statistics: impl Fn(&[u32]) -> [Option<f64>; K] + Sync,
) -> [Option<Interval>; K] {
    let resampled: Vec<_> = (0..RESAMPLES)
        .into_par_iter()
        .map_init(
            || vec![0; pictures],
            |times, resample| {
                draw(times, Stream::new(seed, resample));
                statistics(times)
            },
        )
        .collect();
    std::array::from_fn(|statistic| {
        let mut values: Vec<f64> = resampled.iter().filter_map(|values| values[statistic]).collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| [percentile(&values, 0.025), percentile(&values, 0.975)])
    })
}

/// How often each picture is drawn, in as many draws as there are pictures.
fn draw(times: &mut [u32], random: Stream) {
    times.fill(0);
    let pictures = times.len() as u128;
    for index in 0..times.len() as u64 {
        times[((u128::from(random.bits(index)) * pictures) >> 64) as usize] += 1;
    }
}

/// The quantile `part` of the `sorted` values, interpolated linearly.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;

    use super::*;

    /// 300 of 400 pictures are correct.
    fn share(seed: u64) -> Interval {
        let right = |times: &[u32]| times[..300].iter().sum::<u32>() as f64 / 400.0;
        let [share, none] = bootstrap(400, seed, |times| [Some(right(times)), None]);
        assert_eq!(none, None);
        share.unwrap()
    }

    #[test]
    fn an_interval_of_a_share_is_that_of_the_normal_distribution() {
        let half = 1.96 * (0.75f64 * 0.25 / 400.0).sqrt();
        let [low, high] = share(1);
        assert!((low - (0.75 - half)).abs() < 0.006 && (high - (0.75 + half)).abs() < 0.006, "{low} to {high}");
        assert_ne!(share(1), share(2));
    }

    #[test]
    fn threads_change_nothing() {
        let with = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| share(3));
        assert_eq!(with(1).map(f64::to_bits), with(4).map(f64::to_bits));
    }

    #[test]
    fn percentiles_are_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|part| percentile(&values, part)), [1.0, 1.75, 3.0, 5.0, 8.0]);
        assert_eq!(percentile(&[5.0], 0.975), 5.0);
    }
}

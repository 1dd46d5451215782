//! The learning rate over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Constant throughout.
    Constant,
    /// Divided by 10 after half of the run, by 100 after three quarters (section 4.2 of the paper, CIFAR and SVHN).
    Steps,
    /// Divided by 10 after a third of the run, by 100 after two thirds (section 4.2 of the paper, ImageNet).
    Thirds,
    /// Rises linearly over the first twentieth of the run, then falls along half a cosine to zero.
    Cosine,
    /// Falls along half a cosine to zero in each cycle, then restarts (Huang et al., "Snapshot Ensembles", ICLR 2017,
    /// equation 2): the end of each cycle is a network of its own.
    Snapshot,
}

impl Schedule {
    /// The learning rate of step `step` (from 0) of `steps`, where `base` is the highest; `cycles` is the number of
    /// cycles of [`Schedule::Snapshot`].
    pub fn rate(self, base: f64, step: u64, steps: u64, cycles: u64) -> f64 {
        match self {
            Self::Constant => base,
            Self::Steps if 4 * step >= 3 * steps => base / 100.0,
            Self::Steps if 2 * step >= steps => base / 10.0,
            Self::Steps => base,
            Self::Thirds if 3 * step >= 2 * steps => base / 100.0,
            Self::Thirds if 3 * step >= steps => base / 10.0,
            Self::Thirds => base,
            Self::Cosine => {
                let warm_up = steps / 20;
                if step < warm_up {
                    return base * (step + 1) as f64 / warm_up as f64;
                }
                let progress = (step - warm_up) as f64 / (steps - warm_up).max(1) as f64;
                base * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
            }
            Self::Snapshot => {
                let length = steps.div_ceil(cycles).max(1);
                base * 0.5 * (1.0 + (PI * (step % length) as f64 / length as f64).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| schedule.rate(0.1, step, steps, 2)).collect()
    }

    #[test]
    fn constant_stays() {
        assert_eq!(rates(Schedule::Constant, 3), [0.1; 3]);
    }

    #[test]
    fn steps_divide_by_ten_at_half_and_three_quarters() {
        assert_eq!(rates(Schedule::Steps, 8), [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]);
        assert_eq!(rates(Schedule::Steps, 5), [0.1, 0.1, 0.1, 0.01, 0.001]);
    }

    #[test]
    fn thirds_divide_by_ten_at_each() {
        assert_eq!(rates(Schedule::Thirds, 6), [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]);
    }

    #[test]
    fn cosine_warms_up_then_falls_to_nothing() {
        let rates = rates(Schedule::Cosine, 100);
        for (step, rate) in rates[..5].iter().enumerate() {
            assert!((rate - 0.02 * (step + 1) as f64).abs() < 1e-15);
        }
        assert!(rates[4..].windows(2).skip(1).all(|pair| pair[1] < pair[0]));
        assert!((rates[5] - 0.1).abs() < 1e-15);
        let middle = Schedule::Cosine.rate(0.1, 1050, 2000, 1);
        assert!((middle - 0.05).abs() < 1e-15, "{middle}");
        assert!(rates[99] > 0.0 && rates[99] < 1e-4);
    }

    #[test]
    fn snapshots_begin_anew() {
        let rates = rates(Schedule::Snapshot, 8);
        let cycle = [0.1, 0.05 * (1.0 + 0.5f64.sqrt()), 0.05, 0.05 * (1.0 - 0.5f64.sqrt())];
        assert!(
            rates.iter().zip(cycle.iter().cycle()).all(|(rate, wanted)| (rate - wanted).abs() < 1e-15),
            "{rates:?}"
        );
    }

    #[test]
    fn runs_too_short_to_warm_up_start_at_the_highest() {
        assert_eq!(Schedule::Cosine.rate(0.1, 0, 1, 1), 0.1);
        assert_eq!(Schedule::Cosine.rate(0.1, 5, 1, 1), 0.0);
    }
}

//! How good predictions are: a network's predictions compared with what the pictures show.
//!
//! These are pure functions of scores and truths. [`evaluation`](crate::evaluation) runs networks and combines the
//! figures; `docs/evaluation.md` says what each is, and whose conventions it follows.

mod bootstrap;
mod calibration;
mod counts;
mod mistakes;
mod ranked;
pub mod temperature;

pub use bootstrap::{Interval, RESAMPLES, bootstrap};
pub use calibration::{BINS, Bin, brier_of_classes, brier_of_labels, expected_calibration_error, reliability};
pub use counts::Counts;
pub use mistakes::{Mistake, likeliest_wrong_labels, most_confident_mistakes};
pub use ranked::Ranked;

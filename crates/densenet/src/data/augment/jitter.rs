//! Random changes of colour.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::colour;
use crate::data::Picture;

/// How much colours change at random, as in torchvision's `ColorJitter`: in random order, brightness, contrast and
/// saturation by a factor from `1 - x` (but not below 0) to `1 + x`, and the hue by `-x` to `x` of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// 0 (no change) or above.
    pub brightness: f64,
    /// 0 (no change) or above.
    pub contrast: f64,
    /// 0 (no change) or above.
    pub saturation: f64,
    /// From 0 (no change) to 0.5.
    pub hue: f64,
}

/// The functions that change brightness, contrast, saturation and hue.
const CHANGES: [fn(&mut Picture<'_>, f64); 4] = [colour::brightness, colour::contrast, colour::saturation, colour::hue];

impl ColorJitter {
    /// Changes `picture` with random values from `rng`.
    pub(super) fn apply(&self, picture: &mut Picture<'_>, rng: &mut ChaCha8Rng) {
        if *self != Self::default() {
            self.drawn(rng).into_iter().for_each(|(change, amount)| CHANGES[change](picture, amount));
        }
    }

    /// Which of [`CHANGES`] are made, in order, and how large they are.
    pub(super) fn drawn(&self, rng: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
        let strengths = [self.brightness, self.contrast, self.saturation, self.hue];
        let mut order = [0, 1, 2, 3];
        order.shuffle(rng);
        let asked = order.into_iter().filter(|&change| strengths[change] > 0.0);
        let drawn = asked.map(|change| match strengths[change] {
            turns if change == 3 => (change, rng.random_range(-turns..=turns)),
            strength => (change, rng.random_range((1.0 - strength).max(0.0)..=1.0 + strength)),
        });
        drawn.collect()
    }
}

//! Random cases, the same in every run.

use std::ops::Range;

use densenet_kernels::random::Stream;

/// Miri takes some thousand times as long as the processor: it gets fewer and smaller cases.
const CASES_IN_MIRI: u64 = 4;

/// The largest extent and width in Miri: vectors of the portable set have four lanes.
const LARGEST_IN_MIRI: usize = 9;

/// Numbers of a test's random cases: `count` of them, few in Miri.
pub fn cases(count: u64) -> Range<u64> {
    0..if cfg!(miri) { count.min(CASES_IN_MIRI) } else { count }
}

/// A sequence of draws.
pub struct Draw {
    stream: Stream,
    index: u64,
}

impl Draw {
    /// That of case number `case` of a test.
    pub fn new(test: u64, case: u64) -> Self {
        Self { stream: Stream::new(test, case), index: 0 }
    }

    /// A number in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        self.index += 1;
        self.stream.uniform(self.index)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.uniform() * (high - low + 1) as f64) as usize
    }

    /// An extent from `low` to `high`, half of the time one of the lowest eight: that is where borders meet.
    pub fn extent(&mut self, low: usize, high: usize) -> usize {
        let high = if cfg!(miri) { high.min(LARGEST_IN_MIRI) } else { high };
        let high = if self.coin() { (low + 7).min(high) } else { high };
        self.between(low, high)
    }

    /// Channels of a feature map: half of the time a width of the family.
    pub fn map_width(&mut self) -> usize {
        if cfg!(miri) {
            return self.between(1, LARGEST_IN_MIRI);
        }
        if self.coin() { [12, 16, 24, 32, 40, 48, 64][self.between(0, 6)] } else { self.between(1, 70) }
    }

    /// Yes or no.
    pub fn coin(&mut self) -> bool {
        self.uniform() < 0.5
    }

    /// `len` numbers from `-bound` to `bound`, each one that `f32` holds.
    pub fn values(&mut self, len: usize, bound: f64) -> Vec<f64> {
        (0..len).map(|_| single((2.0 * self.uniform() - 1.0) * bound)).collect()
    }

    /// The numbers below `len` in random order (Fisher and Yates).
    pub fn order(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for i in (1..len).rev() {
            order.swap(i, self.between(0, i));
        }
        order
    }
}

/// The nearest number that `f32` holds.
pub fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

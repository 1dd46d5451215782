//! Random cases, the same in every run.

use densenet_kernels::random::Stream;

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
        let high = if self.coin() { (low + 7).min(high) } else { high };
        self.between(low, high)
    }

    /// Channels of a feature map: half of the time a width of the family.
    pub fn map_width(&mut self) -> usize {
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

//! Random numbers that are a pure function of seed, stream and index.
//!
//! No state is carried from one number to the next, so any thread may draw any of them in any order, and a forward pass
//! that is computed twice draws the same dropout mask twice.
//!
//! # Quality
//! A stream is the sequence of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) from a starting state mixed from seed
//! and stream; that generator passes BigCrush. All streams follow the same cycle of 2^64 states from different starting
//! points: two streams of `n` numbers overlap with probability `n / 2^63`. It is not suitable for secrets.

/// The odd increment of SplitMix64: 2^64 divided by the golden ratio.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of random numbers, addressed by index.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The stream with this number under `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(mix(seed.wrapping_add(INCREMENT)) ^ stream) }
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(self, index: u64) -> u64 {
        mix(self.state.wrapping_add(index.wrapping_add(1).wrapping_mul(INCREMENT)))
    }

    /// A uniform number in `[0, 1)`, a multiple of 2^-53.
    #[inline]
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number from the standard normal distribution (Box and Muller), the same bits on every machine.
    pub fn normal(self, index: u64) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform(index.wrapping_mul(2)))).sqrt();
        let angle = std::f64::consts::TAU * self.uniform(index.wrapping_mul(2).wrapping_add(1));
        radius * libm::cos(angle)
    }

    /// Whether dropout with probability `p`, in `[0, 1)`, keeps the element: whether [`Self::uniform`] is at least `p`,
    /// decided in integers.
    #[inline]
    pub fn keep(self, index: u64, p: f64) -> bool {
        self.bits(index) >> 11 >= (p * (1u64 << 53) as f64).ceil() as u64
    }
}

/// The finaliser of SplitMix64: a bijection in which each bit of the input flips each bit of the output half the time.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published outputs of SplitMix64 from state 1234567.
    #[test]
    fn is_splitmix64() {
        let stream = Stream { state: 1_234_567 };
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|i| stream.bits(i)), expected);
    }

    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn keeps_the_stated_share_and_agrees_with_uniform() {
        const N: u64 = 100_000;
        for p in [0.0, 0.2, 0.5, 0.9] {
            let stream = Stream::new(7, 3);
            let kept = (0..N).filter(|&i| stream.keep(i, p)).count() as f64 / N as f64;
            assert!((kept - (1.0 - p)).abs() < 0.006, "kept {kept} at p = {p}");
            assert!((0..N).all(|i| stream.keep(i, p) == (stream.uniform(i) >= p)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn normal_has_its_moments() {
        const N: u64 = 100_000;
        let stream = Stream::new(1, 2);
        let moment = |power: i32| (0..N).map(|i| stream.normal(i).powi(power)).sum::<f64>() / N as f64;
        for (power, expected, tolerance) in [(1, 0.0, 0.015), (2, 1.0, 0.02), (3, 0.0, 0.05), (4, 3.0, 0.12)] {
            assert!((moment(power) - expected).abs() < tolerance, "moment {power} is {}", moment(power));
        }
    }

    /// Neighbouring seeds and streams agree in half of their bits.
    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn neighbours_are_unrelated() {
        const N: u64 = 100_000;
        let base = Stream::new(5, 5);
        for other in [Stream::new(5, 6), Stream::new(6, 5), Stream::new(4, 5), Stream::new(5, 4)] {
            let same = (0..N).filter(|&i| base.keep(i, 0.5) == other.keep(i, 0.5)).count() as f64 / N as f64;
            assert!((same - 0.5).abs() < 0.006, "{same} of the bits agree");
        }
    }
}

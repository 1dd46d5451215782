//! Central differences, against which every gradient is checked.

use crate::random::Stream;

/// Seeds of the random cases on which each operation is checked.
pub const SEEDS: std::ops::Range<u64> = 0..6;

/// Half the distance between the two evaluations of a difference.
const STEP: f64 = 1e-6;

/// Largest allowed difference from the central difference, relative to the largest gradient (at least 1). Differences
/// with this step are exact to about 1e-9 for values near 1.
const TOLERANCE: f64 = 1e-7;

/// `len` random numbers in `[-1, 1)`.
pub fn random(seed: u64, stream: u64, len: usize) -> Vec<f64> {
    let stream = Stream::new(seed, stream);
    (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
}

/// A random extent from `low` to `high`, both included.
pub fn extent(seed: u64, stream: u64, low: usize, high: usize) -> usize {
    low + (Stream::new(seed, stream).bits(0) % (high - low + 1) as u64) as usize
}

/// The scalar product: the loss whose gradient with respect to `y` is `dy`.
pub fn dot(y: &[f64], dy: &[f64]) -> f64 {
    assert_eq!(y.len(), dy.len());
    y.iter().zip(dy).map(|(a, b)| a * b).sum()
}

/// Checks `gradient` of `loss` at `x`, element by element.
pub fn assert_gradient(what: &str, seed: u64, x: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}, seed {seed}");
    let scale = gradient.iter().fold(1.0f64, |largest, g| largest.max(g.abs()));
    let mut moved = x.to_vec();
    for i in 0..x.len() {
        moved[i] = x[i] + STEP;
        let above = loss(&moved);
        moved[i] = x[i] - STEP;
        let difference = (above - loss(&moved)) / (2.0 * STEP);
        moved[i] = x[i];
        let error = (difference - gradient[i]).abs() / scale;
        assert!(
            error < TOLERANCE,
            "{what}, seed {seed}: element {i} is {}, differences give {difference}",
            gradient[i]
        );
    }
}

//! The moving average of the weights, which often does better than the weights themselves.

use densenet_kernels::simd::{Operation, Simd};
use densenet_kernels::{Real, Scalar};
use rayon::prelude::*;

use super::PIECE;
use crate::DenseNet;

/// An exponential moving average of a network's parameters and running statistics:
///
/// ```text
/// a = a + (1 - d) * (p - a)        d = min(decay, (1 + t) / (10 + t)) at step t (from 1)
/// ```
///
/// The smaller `d` of the first steps lets it forget the initial weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Average<T> {
    /// Share of the average that a step keeps, in the long run; at least 0, less than 1.
    pub decay: f64,
    /// Averages of the learnable values, in the arena's order.
    pub parameters: Vec<T>,
    /// Averages of the running statistics, in their arena's order.
    pub running: Vec<T>,
}

impl<T: Real> Average<T> {
    /// The average for `network` before the first step.
    pub fn new(decay: f64, network: &DenseNet<T>) -> Self {
        Self { decay, parameters: network.parameters().to_vec(), running: network.running().to_vec() }
    }

    /// Updates the average with `network`, which has just taken step number `step`, from 1.
    pub fn follow(&mut self, step: u64, network: &DenseNet<T>) {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        let arenas = [(&mut self.parameters, network.parameters()), (&mut self.running, network.running())];
        for (average, values) in arenas {
            assert_eq!(average.len(), values.len(), "the average and the values differ in number");
            let pieces = average.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE));
            let weight = T::of(1.0 - decay);
            pieces.for_each(|(average, values)| T::dispatch(Piece { weight, average, values }));
        }
    }

    /// Swaps the averages with the network's values: the network predicts with the averages until they are swapped
    /// again.
    pub fn exchange(&mut self, network: &mut DenseNet<T>) {
        network.exchange(&mut self.parameters, &mut self.running);
    }
}

struct Piece<'a, T> {
    weight: T,
    average: &'a mut [T],
    values: &'a [T],
}

impl<T: Scalar> Operation<T> for Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) {
        for (average, value) in self.average.iter_mut().zip(self.values) {
            *average += self.weight * (*value - *average);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn follows_and_is_exchanged() {
        let config = Config { block_config: vec![1, 1], ..Config::preset("densenet-bc-40-12").unwrap() };
        let mut network = DenseNet::<f64>::new(&config, 1).unwrap();
        let start = network.parameters()[0];
        let mut average = Average::new(0.3, &network);
        for step in 1..=3 {
            network.parameters_mut()[0] = start + 10.0 * step as f64;
            average.follow(step, &network);
        }
        // Decays of 2/11, 3/12 and 3/10.
        let expected = start + ((10.0 * (9.0 / 11.0) * 0.25 + 20.0 * 0.75) * 0.3 + 30.0 * 0.7);
        assert!((average.parameters[0] - expected).abs() < 1e-12, "{} {expected}", average.parameters[0] - start);
        assert_eq!(average.running, network.running());
        average.exchange(&mut network);
        assert!((network.parameters()[0] - expected).abs() < 1e-12);
        assert_eq!(average.parameters[0], start + 30.0);
    }
}

//! Initial values, as torchvision's DenseNet has them.
//!
//! Convolutions take Kaiming's normal distribution over their inputs (He et al., 2015, section 2.2): deviation
//! `sqrt(2 / fan_in)`. The classifier's weight is uniform within `1 / sqrt(fan_in)`, PyTorch's default. Scales are 1,
//! every bias and shift is 0, running means are 0 and running variances 1.

use std::ops::Range;

use densenet_kernels::Scalar;
use densenet_kernels::random::Stream;

use crate::Architecture;

/// Number of the first tensor's stream. Dropout counts its streams from 0, so the two share none under one seed.
const FIRST_STREAM: u64 = 1 << 32;

/// Parameters and running statistics to start training from, each in its arena's order. A seed gives the same bits on
/// every machine and any number of threads.
pub fn initial<T: Scalar>(arch: &Architecture, seed: u64) -> (Vec<T>, Vec<T>) {
    let mut parameters = vec![T::zero(); arch.num_parameters()];
    for (i, tensor) in arch.parameters.iter().enumerate() {
        let stream = Stream::new(seed, FIRST_STREAM + i as u64);
        let fan_in = tensor.shape[1..].iter().product::<usize>() as f64;
        let value = |i: u64| match tensor.shape.len() {
            4 => stream.normal(i) * (2.0 / fan_in).sqrt(),
            _ => (2.0 * stream.uniform(i) - 1.0) / fan_in.sqrt(),
        };
        if tensor.shape.len() > 1 {
            let values = &mut parameters[tensor.range.clone()];
            (0..).zip(values).for_each(|(i, parameter)| *parameter = T::of(value(i)));
        }
    }
    let mut running = vec![T::zero(); arch.num_running()];
    for norm in arch.norms() {
        fill_one(&mut parameters, &norm.weight);
        fill_one(&mut running, &norm.variance);
    }
    (parameters, running)
}

fn fill_one<T: Scalar>(arena: &mut [T], range: &Range<usize>) {
    arena[range.clone()].fill(T::one());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn has_the_stated_distributions() {
        let arch = Architecture::new(&Config::preset("seed").unwrap()).unwrap();
        let (parameters, running) = initial::<f64>(&arch, 1);
        for tensor in &arch.parameters {
            let values = &parameters[tensor.range.clone()];
            let fan_in = tensor.shape[1..].iter().product::<usize>() as f64;
            let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            let (expected, tolerance) = match (tensor.shape.len(), tensor.name.contains("norm")) {
                (4, _) => (2.0 / fan_in, 0.1),
                (2, _) => (1.0 / (3.0 * fan_in), 0.1),
                (_, true) if tensor.name.ends_with("weight") => (1.0, 0.0),
                _ => (0.0, 0.0),
            };
            let difference = (variance - expected).abs();
            assert!(difference <= tolerance * expected, "{}: {variance}, not {expected}", tensor.name);
        }
        for norm in arch.norms() {
            assert!(running[norm.mean.clone()].iter().all(|&mean| mean == 0.0));
            assert!(running[norm.variance.clone()].iter().all(|&variance| variance == 1.0));
        }
    }

    /// Pins the bits: a change of them would make old seeds mean other networks.
    #[test]
    fn bits_do_not_change() {
        let arch = Architecture::new(&Config::preset("densenet-bc-40-12").unwrap()).unwrap();
        let (parameters, _) = initial::<f64>(&arch, 42);
        let classifier = parameters[arch.classifier_weight.start];
        let expected = [4_588_050_352_534_505_310, 4_597_567_019_840_904_441, 13_813_586_185_770_678_318];
        assert_eq!([parameters[0], parameters[647], classifier].map(f64::to_bits), expected);
        assert_ne!(parameters, initial::<f64>(&arch, 43).0);
    }
}

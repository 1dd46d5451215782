//! Initial values, as in torchvision's DenseNet.
//!
//! Convolutions are drawn from Kaiming's normal distribution over their inputs (He et al., 2015, section 2.2), with
//! standard deviation `sqrt(2 / fan_in)`. Weights of linear layers are uniform within `1 / sqrt(fan_in)`, PyTorch's
//! default, and so are the biases of those followed by a ReLU. Scales are 1, every other bias and shift is 0, running
//! means are 0 and running variances 1.

use std::ops::Range;

use densenet_kernels::Scalar;
use densenet_kernels::random::Stream;

use crate::Architecture;
use crate::architecture::Tensor;

/// Number of the first tensor's random stream. Dropout counts its streams from 0, so the two never share one under the
/// same seed.
const FIRST_STREAM: u64 = 1 << 32;

/// Initial parameters and running statistics, each in its arena's order. A seed gives the same bits on every machine
/// and with any number of threads.
pub fn initial<T: Scalar>(arch: &Architecture, seed: u64) -> (Vec<T>, Vec<T>) {
    let mut parameters = vec![T::zero(); arch.num_parameters()];
    for (i, tensor) in arch.parameters.iter().enumerate() {
        let stream = Stream::new(seed, FIRST_STREAM + i as u64);
        let Some(fan_in) = fan_in(arch, tensor) else { continue };
        let value = |i: u64| match tensor.shape.len() {
            4 => stream.normal(i) * (2.0 / fan_in as f64).sqrt(),
            _ => (2.0 * stream.uniform(i) - 1.0) / (fan_in as f64).sqrt(),
        };
        let values = &mut parameters[tensor.range.clone()];
        (0..).zip(values).for_each(|(i, parameter)| *parameter = T::of(value(i)));
    }
    let mut running = vec![T::zero(); arch.num_running()];
    for norm in arch.norms() {
        fill_one(&mut parameters, &norm.weight);
        fill_one(&mut running, &norm.variance);
    }
    (parameters, running)
}

/// Number of inputs per output of a tensor's layer; `None` for a tensor that is not drawn at random.
fn fan_in(arch: &Architecture, tensor: &Tensor) -> Option<usize> {
    let mut hidden = arch.classifier.iter().filter(|layer| layer.relu);
    match &*tensor.shape {
        [_] => hidden.find(|layer| layer.bias == tensor.range).map(|layer| layer.in_features),
        [_, inputs @ ..] => Some(inputs.iter().product()),
        [] => None,
    }
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
        let config = Config { hidden: vec![400], ..Config::preset("seed").unwrap() };
        let arch = Architecture::new(&config).unwrap();
        let (parameters, running) = initial::<f64>(&arch, 1);
        for tensor in &arch.parameters {
            let values = &parameters[tensor.range.clone()];
            let fan_in = tensor.shape[1..].iter().product::<usize>() as f64;
            let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            let (expected, tolerance) = match (tensor.shape.len(), tensor.name.contains("norm")) {
                (4, _) => (2.0 / fan_in, 0.1),
                (2, _) => (1.0 / (3.0 * fan_in), 0.1),
                (1, _) if tensor.name == "classifier.0.bias" => (1.0 / (3.0 * 248.0), 0.1),
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

    /// Pins the bits: a change would give old seeds different networks.
    #[test]
    fn bits_do_not_change() {
        let arch = Architecture::new(&Config::preset("densenet-bc-40-12").unwrap()).unwrap();
        let (parameters, _) = initial::<f64>(&arch, 42);
        let classifier = parameters[arch.classifier[0].weight.start];
        let expected = [4_588_050_352_534_505_310, 4_597_567_019_840_904_441, 13_813_586_185_770_678_318];
        assert_eq!([parameters[0], parameters[647], classifier].map(f64::to_bits), expected);
        assert_ne!(parameters, initial::<f64>(&arch, 43).0);
    }
}

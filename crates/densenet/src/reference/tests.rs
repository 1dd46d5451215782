//! Post-activation networks, which are run as pre-activation ones, compared with a direct traversal.

use densenet_kernels::random::Stream;
use densenet_kernels::reference::batch_norm;
use densenet_kernels::reference::pool::{self, Pool};
use densenet_kernels::reference::{Shape4, linear, relu};

use super::types::{Map, geometry};
use crate::architecture::{Conv, Tensor};
use crate::config::{Activation, Joining};
use crate::{Architecture, Config, init};

/// A network's values.
struct Values<'a> {
    arch: &'a Architecture,
    parameters: Vec<f64>,
    running: Vec<f64>,
}

impl Values<'_> {
    fn conv(&self, conv: &Conv, x: &Map<f64>) -> Map<f64> {
        let values = geometry(conv).forward(x.shape, &x.values, &self.parameters[conv.weight.clone()], None);
        Map { shape: geometry(conv).output(x.shape), values }
    }

    /// `relu(bn(x))` with those channels of the tensors of `norm` that start at `first`.
    fn norm_relu(&self, norm: &str, first: usize, x: &Map<f64>) -> Map<f64> {
        let part = |tensors: &[Tensor], arena: &[f64], part: &str| {
            let place = tensors.iter().find(|tensor| tensor.name == format!("{norm}.{part}")).unwrap().range.start;
            arena[place + first..][..x.shape.c].to_vec()
        };
        let learnt = |name| part(&self.arch.parameters, &self.parameters, name);
        let [mean, variance] =
            ["running_mean", "running_var"].map(|name| part(&self.arch.running, &self.running, name));
        let statistics = batch_norm::Statistics { mean, variance };
        let y = batch_norm::forward(x.shape, &x.values, &statistics, &learnt("weight"), &learnt("bias"));
        Map { shape: x.shape, values: relu::forward(&y) }
    }

    /// Logits, each convolution followed by its batch-norm and ReLU.
    fn post_activation(&self, images: Map<f64>) -> Vec<f64> {
        let mut raw = self.conv(&self.arch.stem_conv, &images);
        for (number, block) in (1..).zip(&self.arch.blocks) {
            let norm = format!("features.denseblock{number}.norm");
            let mut x = self.norm_relu(&norm, 0, &raw);
            let mut made = x.shape.c;
            for (i, layer) in (1..).zip(&block.layers) {
                let mut h = Map { shape: x.shape, values: x.values.clone() };
                if let Some(bottleneck) = &layer.bottleneck {
                    h = self.conv(&bottleneck.conv, &h);
                    h = self.norm_relu(&format!("features.denseblock{number}.denselayer{i}.norm2"), 0, &h);
                }
                h = self.norm_relu(&norm, made, &self.conv(&layer.conv.conv, &h));
                made += h.shape.c;
                x = match self.arch.config.joining {
                    Joining::Dense => super::forward::concatenate(&x, &h),
                    _ => h,
                };
            }
            raw = x;
            if let Some(transition) = &block.transition {
                let y = self.conv(&transition.conv, &raw);
                raw = Map { shape: Pool::HALVE.output(y.shape), values: Pool::HALVE.average(y.shape, &y.values) };
            }
        }
        let (features, layer) = (pool::global_average(raw.shape, &raw.values), &self.arch.classifier[0]);
        let [weight, bias] = [&layer.weight, &layer.bias].map(|place| &self.parameters[place.clone()]);
        linear::forward(&features, weight, bias)
    }
}

#[test]
fn to_normalise_after_each_convolution_is_to_share_what_readers_normalise_by() {
    let base = Config {
        in_channels: 2,
        num_classes: 4,
        num_init_features: 5,
        block_config: vec![2, 3],
        growth_rate: 3,
        activation: Activation::Post,
        ..Config::preset("densenet-bc-40-12").unwrap()
    };
    let plain = Config { joining: Joining::Plain, compression: 1.0, ..base.clone() };
    for config in [Config { bn_size: None, ..base.clone() }, base, Config { bn_size: None, ..plain.clone() }, plain] {
        let arch = Architecture::new(&config).unwrap();
        let (mut parameters, mut running) = init::initial::<f64>(&arch, 3);
        let noise = |arena: &mut [f64], stream| {
            let stream = Stream::new(5, stream);
            (0..).zip(arena).for_each(|(i, value)| *value += 0.3 * stream.uniform(i));
        };
        noise(&mut parameters, 0);
        noise(&mut running, 1);
        let shape = Shape4 { n: 2, c: 2, h: 6, w: 7 };
        let mut images = vec![0.0; shape.len()];
        noise(&mut images, 2);
        let shared = super::forward(&arch, &parameters, &running, shape, &images).unwrap();
        let values = Values { arch: &arch, parameters, running };
        let literal = values.post_activation(Map { shape, values: images });
        let difference = shared.iter().zip(&literal).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(difference < 1e-12, "{config:?}: {difference}");
    }
}

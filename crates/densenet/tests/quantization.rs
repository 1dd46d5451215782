//! Networks in eight bits: equal to plain integer arithmetic, near to floating point, and the same after a file.

use std::collections::BTreeMap;

use densenet::checkpoint::Reader;
use densenet::config::{Joining, Stem};
use densenet::network::Calibrator;
use densenet::quantization::{Quantization, Requantize};
use densenet::{Architecture, Card, Config, DenseNet};
use densenet_kernels::batch_norm;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::conv::Conv;
use densenet_kernels::reference::int8::{conv_sums, requantize, requantize_mean};
use densenet_kernels::simd::Isa;
use ndarray::{Array2, Array4, Axis, s};

/// Two blocks of bottlenecked layers, with numbers of channels that fill neither vectors nor groups of four.
fn config() -> Config {
    Config {
        in_channels: 3,
        num_classes: 7,
        stem: Stem::Cifar,
        num_init_features: 10,
        block_config: vec![2, 3],
        growth_rate: 6,
        bn_size: Some(3),
        compression: 0.5,
        input_size: 12,
        ..Config::preset("densenet-bc-40-12").unwrap()
    }
}

/// A network of `config` whose channels are very unequal, and whose running statistics are those of `images`.
fn uneven(config: &Config, images: &Array4<f32>) -> DenseNet {
    let mut network = DenseNet::new(config, 3).unwrap();
    let (stream, arch) = (Stream::new(5, 0), network.architecture().clone());
    for (i, norm) in arch.norms().enumerate() {
        let parameters = network.parameters_mut();
        for (c, place) in norm.weight.clone().enumerate() {
            parameters[place] = (3.0 * stream.uniform((1000 * i + c) as u64) - 1.5).exp() as f32;
        }
        for (c, place) in norm.bias.clone().enumerate() {
            parameters[place] = stream.uniform((1000 * i + 500 + c) as u64) as f32 - 0.4;
        }
    }
    let mut backprop = densenet::network::Backprop::new(&network);
    let labels = vec![0; images.dim().0];
    for _ in 0..60 {
        backprop.run(&mut network, images.view(), &labels, &Default::default()).unwrap();
    }
    network
}

fn images(count: usize, config: &Config) -> Array4<f32> {
    let (stream, size, mut index) = (Stream::new(9, 0), config.input_size, 0);
    Array4::from_shape_simple_fn((count, config.in_channels, size, size), || {
        index += 1;
        3.0 * stream.uniform(index) as f32 - 1.5
    })
}

fn measured(network: &DenseNet, images: &Array4<f32>) -> DenseNet {
    let mut calibrator = Calibrator::new(network).unwrap();
    calibrator.see(images.slice(s![..4, .., .., ..])).unwrap();
    calibrator.see(images.slice(s![4.., .., .., ..])).unwrap();
    network.quantize(&calibrator.finish()).unwrap()
}

/// Bytes `(N, C, H, W)`.
struct Bytes {
    shape: Shape4,
    values: Vec<u8>,
}

impl Bytes {
    fn channel(&self, place: usize) -> usize {
        place / self.shape.plane() % self.shape.c
    }

    fn requantized(&self, by: &Requantize) -> Self {
        let of = |(place, &value): (usize, &u8)| {
            let c = self.channel(place);
            requantize(value.into(), by.scale[c], by.shift[c])
        };
        Self { shape: self.shape, values: self.values.iter().enumerate().map(of).collect() }
    }

    fn pooled(&self, by: &Requantize) -> Self {
        let shape = Shape4 { h: self.shape.h / 2, w: self.shape.w / 2, ..self.shape };
        let mut pooled = Self { shape, values: vec![0; shape.len()] };
        for place in 0..shape.len() {
            let (c, n) = (pooled.channel(place), place / shape.plane() / shape.c);
            let (y, x) = (place % shape.plane() / shape.w, place % shape.w);
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)]
                .map(|(v, u)| f32::from(self.values[self.shape.index(n, c, 2 * y + v, 2 * x + u)]));
            pooled.values[place] = requantize_mean(four, by.scale[c], by.shift[c]);
        }
        pooled
    }

    fn convolved(&self, conv: &densenet::architecture::Conv, weight: &[i8], by: &Requantize) -> Self {
        let &densenet::architecture::Conv { out_channels, kernel, stride, padding, .. } = conv;
        let conv = Conv { out_channels, kernel, stride, padding };
        let mut output = Self { shape: conv.output(self.shape), values: vec![] };
        let sums = conv_sums(&conv, self.shape, &self.values, weight);
        output.values = sums
            .iter()
            .enumerate()
            .map(|(place, &sum)| {
                requantize(sum as f32, by.scale[output.channel(place)], by.shift[output.channel(place)])
            })
            .collect();
        output
    }

    fn joined(&self, other: &Self) -> Self {
        let shape = Shape4 { c: self.shape.c + other.shape.c, ..self.shape };
        let images =
            |bytes: &Self| bytes.values.chunks(bytes.shape.c * bytes.shape.plane()).map(<[u8]>::to_vec).collect();
        let (ours, theirs): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (images(self), images(other));
        Self { shape, values: ours.into_iter().zip(theirs).flat_map(|(a, b)| [a, b].concat()).collect() }
    }
}

/// The bytes of each block of `network`, by plain integer arithmetic from the first map of the first block.
fn blocks(network: &DenseNet, quantization: &Quantization, first: Bytes) -> Vec<Bytes> {
    let affine = |norm: &densenet::architecture::Norm| {
        let inv_std = batch_norm::inv_std(&network.running()[norm.variance.clone()]);
        let (gamma, beta) = (&network.parameters()[norm.weight.clone()], &network.parameters()[norm.bias.clone()]);
        batch_norm::affine(gamma, beta, &network.running()[norm.mean.clone()], &inv_std)
    };
    let (mut maps, mut all) = (first, Vec::new());
    for (number, block) in network.architecture().blocks.iter().enumerate() {
        let scales = &quantization.maps[number];
        for layer in &block.layers {
            let bottleneck = layer.bottleneck.as_ref().expect("these networks have them");
            let [one, three] = [&bottleneck.conv, &layer.conv.conv].map(|conv| &quantization.convs[&conv.name]);
            let (norm, next) = (affine(&bottleneck.norm), affine(&layer.conv.norm));
            let [norm, next] = [&norm, &next].map(|(scale, shift)| densenet_kernels::Affine { scale, shift });
            let narrow = maps.requantized(&one.read(scales, norm)).convolved(
                &bottleneck.conv,
                &one.weight,
                &one.write_activations(None, next, three),
            );
            let write = three.write_map(None, scales, maps.shape.c);
            maps = maps.joined(&narrow.convolved(&layer.conv.conv, &three.weight, &write));
        }
        if let Some(transition) = &block.transition {
            let conv = &quantization.convs[&transition.conv.name];
            let (scale, shift) = affine(&transition.norm);
            let read = conv.read(scales, densenet_kernels::Affine { scale: &scale, shift: &shift });
            let next = maps.pooled(&read).convolved(
                &transition.conv,
                &conv.weight,
                &conv.write_map(None, &quantization.maps[number + 1], 0),
            );
            all.push(std::mem::replace(&mut maps, next));
        }
    }
    all.push(maps);
    all
}

#[test]
fn every_map_is_that_of_plain_integer_arithmetic() {
    let config = config();
    let images = images(9, &config);
    let network = uneven(&config, &images);
    let quantized = measured(&network, &images);
    let quantization = quantized.quantization().unwrap();
    for isa in Isa::available() {
        for threads in [1, 3] {
            let name = format!("{} on {threads} threads", isa.name());
            isa.thread_pool(threads).unwrap().install(|| check_maps(&name, &network, quantization, &images));
        }
    }
}

/// Checks the maps of `network` with those integers on the current pool.
fn check_maps(name: &str, network: &DenseNet, quantization: &Quantization, images: &Array4<f32>) {
    let config = &network.architecture().config;
    // Packed for this pool's instruction set.
    let arenas = || (network.parameters().to_vec(), network.running().to_vec());
    let (parameters, running) = arenas();
    let quantized = DenseNet::quantized(config, parameters, running, quantization.clone()).unwrap();
    let (parameters, running) = arenas();
    let float = DenseNet::from_arenas(config, parameters, running).unwrap();
    // The stem is the same in both.
    let stem = float.features(images.view()).unwrap().blocks[0].slice(s![.., ..10, .., ..]).to_owned();
    let by = quantization.maps[0].quantize(0..10);
    let mut first = Bytes { shape: Shape4::new(9, 10, 12, 12), values: vec![] };
    first.values = stem
        .iter()
        .enumerate()
        .map(|(place, &x)| {
            let c = first.channel(place);
            requantize(x, by.scale[c], by.shift[c])
        })
        .collect();
    let found = quantized.features(images.view()).unwrap().blocks;
    for ((number, found), expected) in found.iter().enumerate().zip(blocks(&quantized, quantization, first)) {
        let by = quantization.maps[number].dequantize();
        for (c, channel) in found.axis_iter(Axis(1)).enumerate() {
            let bytes = (0..expected.shape.n).flat_map(|n| {
                let start = expected.shape.index(n, c, 0, 0);
                &expected.values[start..start + expected.shape.plane()]
            });
            let numbers: Vec<f32> = bytes.map(|&q| f32::from(q) * by.scale[c] + by.shift[c]).collect();
            assert!(channel.iter().eq(&numbers), "{name}: block {number}, channel {c}");
        }
    }
}

/// The distance of `found` from `expected`, as a share of the norm of `expected`.
fn distance(found: &Array2<f32>, expected: &Array2<f32>) -> f32 {
    let norm = |values: &Array2<f32>| values.mapv(|v| v * v).sum().sqrt();
    norm(&(found - expected)) / norm(expected)
}

#[test]
fn logits_of_uneven_channels_stay_near() {
    for config in [
        config(),
        Config { stem: Stem::ImageNet, input_size: 32, ..config() },
        Config { bn_size: None, bias: true, ..config() },
    ] {
        let images = images(9, &config);
        let network = uneven(&config, &images);
        let logits = network.logits(images.view()).unwrap();
        let of = |network: &DenseNet| distance(&network.logits(images.view()).unwrap(), &logits);
        let found = [of(&measured(&network, &images)), of(&network.quantize(&network.calibration_of_norms()).unwrap())];
        assert!(found[0] < 0.03 && found[1] < 0.05 && found[0] > 1e-4, "{found:?} of {:?}", config.stem);
    }
}

#[test]
fn weights_are_within_half_a_step() {
    let config = config();
    let network = DenseNet::<f32>::new(&config, 1).unwrap();
    let quantized = network.quantize(&network.calibration_of_norms()).unwrap();
    for op in network.architecture().pre_activations() {
        let conv = &quantized.quantization().unwrap().convs[&op.conv.name];
        let places = op.conv.kernel * op.conv.kernel;
        for (i, (was, is)) in network.parameters()[op.conv.weight.clone()].iter().zip(conv.dequantized()).enumerate() {
            let (output, input) = (i / (op.conv.in_channels * places), i / places % op.conv.in_channels);
            let step = conv.weight_scale[output] / conv.input_scale[input];
            assert!((was - is).abs() <= 0.501 * step, "{}: {was} became {is} in steps of {step}", op.conv.name);
        }
    }
}

#[test]
fn a_file_keeps_every_bit() {
    let config = config();
    let images = images(9, &config);
    let quantized = measured(&uneven(&config, &images), &images);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("int8.safetensors");
    quantized.save(&Card::of(config.clone()), &path).unwrap();
    let (loaded, _) = DenseNet::load(&path).unwrap();
    assert_eq!(loaded.quantization(), quantized.quantization());
    assert_eq!(loaded.logits(images.view()).unwrap(), quantized.logits(images.view()).unwrap());
    assert!(loaded.parameters() == quantized.parameters() && loaded.running() == quantized.running());
    // In floating point it is the network of the weights that the integers stand for; gradients are that network's.
    let dlogits = Array2::ones((9, config.num_classes));
    let gradients = loaded.image_gradients(images.view(), dlogits.view()).unwrap();
    let plain = loaded.dequantized();
    assert!(plain.quantization().is_none() && plain.parameters() == quantized.parameters());
    assert_eq!(plain.image_gradients(images.view(), dlogits.view()).unwrap(), gradients);
    let mut reader = Reader::open(&path).unwrap();
    let (tuned_from, _) = reader.initial(plain.architecture(), &[], 0).unwrap();
    assert!(tuned_from.quantization.is_none() && tuned_from.parameters == quantized.parameters());
    let near = distance(&plain.logits(images.view()).unwrap(), &quantized.logits(images.view()).unwrap());
    assert!(near > 0.0 && near < 0.05, "{near}");
    let bytes = std::fs::read(&path).unwrap();
    let damaged = folder.path().join("damaged.safetensors");
    let at = bytes.windows(12).position(|name| name == b"weight_scale").unwrap();
    let mut other = bytes.clone();
    other[at..at + 12].copy_from_slice(b"weight_scala");
    std::fs::write(&damaged, other).unwrap();
    let error = Reader::open(&damaged).unwrap().weights(&Architecture::new(&config).unwrap()).unwrap_err().to_string();
    assert!(error.contains("damaged.safetensors") && error.contains("weight_scal"), "{error}");
}

#[test]
fn what_cannot_become_integers_is_refused() {
    let residual = DenseNet::<f32>::new(&Config { joining: Joining::Residual, ..config() }, 0).unwrap();
    assert!(Calibrator::new(&residual).unwrap_err().to_string().contains("join densely"));
    assert!(residual.quantize(&residual.calibration_of_norms()).unwrap_err().to_string().contains("join densely"));
    let mut broken = DenseNet::<f32>::new(&config(), 0).unwrap();
    let weight = broken.architecture().pre_activations().nth(2).unwrap().conv.weight.start;
    broken.parameters_mut()[weight] = f32::NAN;
    let error = broken.quantize(&broken.calibration_of_norms()).unwrap_err().to_string();
    assert!(error.contains("denselayer2.conv1") && error.contains("finite"), "{error}");
    let other = DenseNet::<f32>::new(&Config { growth_rate: 8, ..config() }, 0).unwrap();
    let integers = other.quantize(&other.calibration_of_norms()).unwrap().quantization().unwrap().clone();
    let network = DenseNet::<f32>::new(&config(), 0).unwrap();
    let (parameters, running) = (network.parameters().to_vec(), network.running().to_vec());
    let error = DenseNet::quantized(&config(), parameters, running, integers).unwrap_err().to_string();
    assert!(error.contains("numbers, not"), "{error}");
    let empty = Quantization { convs: BTreeMap::new(), maps: vec![] };
    assert!(empty.check(network.architecture()).unwrap_err().contains("no integers"));
}

//! Networks in eight bits: equal to plain integer arithmetic, near to floating point, and the same after a file.

use std::collections::BTreeMap;

use densenet::checkpoint::Reader;
use densenet::config::{Joining, PoolKind, Stem, StemPool, StemShape};
use densenet::data::{PREPROCESSINGS, Picture, Preprocessing};
use densenet::network::Calibrator;
use densenet::quantization::{Quantization, Requantize};
use densenet::{Architecture, Card, Config, DenseNet};
use densenet_kernels::batch_norm;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::conv::Conv;
use densenet_kernels::reference::int8::{conv_sums, picture_bytes, requantize, requantize_mean};
use densenet_kernels::reference::{Shape4, pool};
use densenet_kernels::simd::Isa;
use ndarray::{Array2, Array4, Axis, s};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

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

/// The same with other stems: batch-norm, ReLU and each kind of pooling.
fn configs() -> [Config; 3] {
    let pool = StemPool { kind: PoolKind::Average, ..StemPool::IMAGENET };
    let averaged = Stem::Other(StemShape { kernel: 5, stride: 1, norm: true, pool: Some(pool) });
    let of = |stem, input_size| Config { stem, input_size, ..config() };
    [config(), of(Stem::ImageNet, 31), of(averaged, 14)]
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

    /// Pooled as a stem does it; a mean is rounded.
    fn by_windows(&self, StemPool { kind, kernel, stride, padding }: StemPool) -> Self {
        let values: Vec<f32> = self.values.iter().map(|&byte| byte.into()).collect();
        let window = pool::Pool { kernel, stride, padding };
        let values = match kind {
            PoolKind::Max => window.max(self.shape, &values).0,
            PoolKind::Average => window.average(self.shape, &values),
        };
        let values = values.iter().map(|value| value.round_ties_even() as u8).collect();
        Self { shape: window.output(self.shape), values }
    }

    fn joined(&self, other: &Self) -> Self {
        let shape = Shape4 { c: self.shape.c + other.shape.c, ..self.shape };
        let images =
            |bytes: &Self| bytes.values.chunks(bytes.shape.c * bytes.shape.plane()).map(<[u8]>::to_vec).collect();
        let (ours, theirs): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (images(self), images(other));
        Self { shape, values: ours.into_iter().zip(theirs).flat_map(|(a, b)| [a, b].concat()).collect() }
    }
}

/// Scale and shift that `norm` of `network` amounts to.
fn affine(network: &DenseNet, norm: &densenet::architecture::Norm) -> (Vec<f32>, Vec<f32>) {
    let inv_std = batch_norm::inv_std(&network.running()[norm.variance.clone()]);
    let (gamma, beta) = (&network.parameters()[norm.weight.clone()], &network.parameters()[norm.bias.clone()]);
    batch_norm::affine(gamma, beta, &network.running()[norm.mean.clone()], &inv_std)
}

/// The bytes that the stem of `network` makes of `images`, by plain integer arithmetic.
fn first_map(network: &DenseNet, quantization: &Quantization, images: &Array4<f32>) -> Bytes {
    let Quantization { convs, picture_zero, maps } = quantization;
    let arch = network.architecture();
    let integers = &convs[&arch.stem_conv.name];
    let read = integers.read_pictures(picture_zero);
    let (n, c, h, w) = images.dim();
    let (shape, values) = picture_bytes(
        Shape4::new(n, c, h, w),
        images.as_slice().unwrap(),
        arch.stem_conv.padding,
        &read.scale,
        &read.shift,
    );
    let norm = arch.stem_norm.as_ref().map(|norm| affine(network, norm));
    let norm = norm.as_ref().map(|(scale, shift)| densenet_kernels::Affine { scale, shift });
    let write = integers.write_first_map(picture_zero, None, norm, &maps[0]);
    // The padding is there already.
    let conv = densenet::architecture::Conv { padding: 0, ..arch.stem_conv.clone() };
    let map = Bytes { shape, values }.convolved(&conv, &integers.weight, &write);
    match arch.stem_pool {
        Some(pool) => map.by_windows(pool),
        None => map,
    }
}

/// The bytes of each block of `network`, by plain integer arithmetic from the first map of the first block.
fn blocks(network: &DenseNet, quantization: &Quantization, first: Bytes) -> Vec<Bytes> {
    let affine = |norm: &densenet::architecture::Norm| affine(network, norm);
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
    for config in configs() {
        let images = images(9, &config);
        let network = uneven(&config, &images);
        let quantized = measured(&network, &images);
        let quantization = quantized.quantization().unwrap();
        for isa in Isa::available() {
            for threads in [1, 3] {
                let name = format!("{} on {threads} threads, {:?}", isa.name(), config.stem);
                isa.thread_pool(threads).unwrap().install(|| check_maps(&name, &network, quantization, &images));
            }
        }
    }
}

/// Checks the maps of `network` with those integers on the current pool.
fn check_maps(name: &str, network: &DenseNet, quantization: &Quantization, images: &Array4<f32>) {
    let config = &network.architecture().config;
    // Packed for this pool's instruction set.
    let (parameters, running) = (network.parameters().to_vec(), network.running().to_vec());
    let quantized = DenseNet::quantized(config, parameters, running, quantization.clone()).unwrap();
    let first = first_map(network, quantization, images);
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

/// Pictures of random pixels, and as a network reads them that takes them from -1 to 1.
fn pixels(count: usize, config: &Config) -> (Preprocessing, Array4<f32>) {
    let (stream, size) = (Stream::new(12, 0), config.input_size);
    let preprocessing = Preprocessing::new(size, [0.485, 0.5, 0.31], [0.229, 0.5, 0.2]);
    let pictures = (0..count).map(|i| {
        let pixel = |place| (256.0 * stream.uniform((i * 3 * size * size + place) as u64)) as u8;
        Picture::new(size, size, 3, (0..3 * size * size).map(pixel).collect::<Vec<u8>>()).unwrap()
    });
    let images = preprocessing.batch(&pictures.collect::<Vec<_>>()).unwrap();
    (preprocessing, images)
}

/// The stem's map by plain sums in floating point, with the weights that the integers stand for, within what its bytes reach.
fn plain_map(network: &DenseNet, quantization: &Quantization, images: &Array4<f32>) -> (Shape4, Vec<f64>) {
    let (arch, maps) = (network.architecture(), &quantization.maps[0]);
    let &densenet::architecture::Conv { out_channels, kernel, stride, padding, ref name, .. } = &arch.stem_conv;
    let integers = &quantization.convs[name];
    let (n, c, h, w) = images.dim();
    let shape = Shape4::new(n, c, h, w);
    let conv = Conv { out_channels, kernel, stride, padding };
    let doubles = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    let (weight, added) = (doubles(&integers.dequantized()), doubles(&integers.correction));
    let mut y = conv.forward(shape, &doubles(images.as_slice().unwrap()), &weight, Some(&added));
    let output = conv.output(shape);
    let norm = arch.stem_norm.as_ref().map(|norm| affine(network, norm));
    for (start, c) in output.planes() {
        let (step, zero) = (f64::from(maps.scale[c]), f64::from(maps.zero[c]));
        for value in &mut y[start..start + output.plane()] {
            if let Some((scale, shift)) = &norm {
                *value = (*value * f64::from(scale[c]) + f64::from(shift[c])).max(0.0);
            }
            *value = value.clamp(-zero * step, (255.0 - zero) * step);
        }
    }
    let Some(StemPool { kind, kernel, stride, padding }) = arch.stem_pool else { return (output, y) };
    let window = pool::Pool { kernel, stride, padding };
    let pooled = match kind {
        PoolKind::Max => window.max(output, &y).0,
        PoolKind::Average => window.average(output, &y),
    };
    (window.output(output), pooled)
}

/// Of pictures of bytes the stem's map loses nothing but what its own rounding takes: half a step of its bytes, twice where
/// they are averaged. Near the border half a step of a pixel's byte may be lost as well, since 0 need not be one.
#[test]
fn the_first_map_loses_its_own_rounding_alone() {
    for config in configs() {
        let (preprocessing, images) = pixels(5, &config);
        let network = uneven(&config, &images);
        let mut calibrator = Calibrator::new(&network).unwrap();
        calibrator.see(images.view()).unwrap();
        let quantized = network.quantize(&calibrator.finish().of_prepared(&preprocessing)).unwrap();
        let found = quantized.features(images.view()).unwrap().blocks.remove(0);
        let (arch, integers) = (quantized.architecture(), quantized.quantization().unwrap());
        let (shape, expected) = plain_map(&quantized, integers, &images);
        let stem = &integers.convs[&arch.stem_conv.name];
        let norm = arch.stem_norm.as_ref().map(|norm| affine(&quantized, norm).0);
        let averaged = arch.stem_pool.is_some_and(|pool| pool.kind == PoolKind::Average);
        let middle = |at: usize, extent: usize| (extent / 3..extent - extent / 3).contains(&at);
        for (place, &value) in expected.iter().enumerate() {
            let (x, row) = (place % shape.w, place / shape.w);
            let (y, map) = (row % shape.h, row / shape.h);
            let (n, c) = (map / shape.c, map % shape.c);
            let rounded = f64::from(integers.maps[0].scale[c]) * if averaged { 1.001 } else { 0.501 };
            let weights = stem.weight.chunks(stem.weight.len() / shape.c).nth(c).unwrap();
            let scale = norm.as_ref().map_or(1.0, |scale| scale[c].abs()) * stem.weight_scale[c];
            let padding = 0.5 * scale * weights.iter().map(|&w| f32::from(w.unsigned_abs())).sum::<f32>();
            let allowed = if middle(y, shape.h) && middle(x, shape.w) { rounded } else { rounded + f64::from(padding) };
            let off = (f64::from(found[[n, c, y, x]]) - value).abs();
            assert!(off <= allowed, "{:?}: {n} {c} {y} {x} is off by {off}, {allowed} is allowed", config.stem);
        }
    }
}

/// Every value that a pixel may have has a byte of its own, its own value, in each of the usual preparations.
#[test]
fn a_picture_of_bytes_is_read_as_these_bytes() {
    for name in PREPROCESSINGS {
        let preprocessing = Preprocessing { size: 16, crop_fraction: 1.0, ..Preprocessing::named(name).unwrap() };
        let channels = preprocessing.channels();
        let config = Config { in_channels: channels, input_size: 16, ..config() };
        let pixels: Vec<u8> = (0..=255).flat_map(|pixel| vec![pixel; channels]).collect();
        let images = preprocessing.batch(&[Picture::new(16, 16, channels, pixels).unwrap()]).unwrap();
        let network = DenseNet::<f32>::new(&config, 2).unwrap();
        let quantized = network.quantize(&network.calibration_of_norms().of_prepared(&preprocessing)).unwrap();
        let integers = quantized.quantization().unwrap();
        let by = integers.convs[&quantized.architecture().stem_conv.name].read_pictures(&integers.picture_zero);
        let shape = Shape4::new(1, channels, 16, 16);
        let (_, bytes) = picture_bytes(shape, images.as_slice().unwrap(), 0, &by.scale, &by.shift);
        assert!(bytes == (0..=255).collect::<Vec<u8>>().repeat(channels), "{name}: {bytes:?}");
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
    for conv in network.architecture().convs() {
        let integers = &quantized.quantization().unwrap().convs[&conv.name];
        let places = conv.kernel * conv.kernel;
        for (i, (was, is)) in network.parameters()[conv.weight.clone()].iter().zip(integers.dequantized()).enumerate() {
            let (output, input) = (i / (conv.in_channels * places), i / places % conv.in_channels);
            let step = integers.weight_scale[output] / integers.input_scale[input];
            assert!((was - is).abs() <= 0.501 * step, "{}: {was} became {is} in steps of {step}", conv.name);
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
    let old = folder.path().join("old.safetensors");
    let stem = "features.conv0.weight";
    let floats: Vec<u8> = quantized.parameters()[quantized.architecture().stem_conv.weight.clone()]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let bytes = std::fs::read(&path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = read.tensors().into_iter().map(|(name, tensor)| match name == stem {
        true => (name, TensorView::new(Dtype::F32, tensor.shape().to_vec(), &floats).unwrap()),
        false => (name, tensor),
    });
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    safetensors::serialize_to_file(tensors, metadata.metadata().clone(), &old).unwrap();
    let error = DenseNet::load(&old).unwrap_err().to_string();
    assert!(error.contains("old.safetensors") && error.contains("densenet quantize"), "{error}");
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
    assert!(Calibrator::new(&residual).unwrap_err().to_string().contains("dense connections"));
    assert!(residual.quantize(&residual.calibration_of_norms()).unwrap_err().to_string().contains("dense connections"));
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
    let empty = Quantization { convs: BTreeMap::new(), picture_zero: vec![], maps: vec![] };
    assert!(empty.check(network.architecture()).unwrap_err().contains("no integers"));
}

/// A byte would hide what is no number; and a picture without pixels is no picture, in eight bits or in floating point.
#[test]
fn what_is_no_number_or_has_no_pixels_is_refused() {
    let [config, ..] = configs();
    let images = images(9, &config);
    let network = uneven(&config, &images);
    let (parameters, running) = (network.parameters().to_vec(), network.running().to_vec());
    for at in [0, running.len() - 1] {
        let mut running = running.clone();
        running[at] = f32::NAN;
        let broken = DenseNet::from_arenas(&config, parameters.clone(), running).unwrap();
        let calibration = network.calibration_of_norms();
        let error = broken.quantize(&calibration).unwrap_err().to_string();
        assert!(error.contains("running_") && error.contains("not finite"), "{error}");
    }
    let quantized = measured(&network, &images);
    for value in [f32::NAN, f32::INFINITY] {
        let mut images = images.clone();
        images[[3, 0, 1, 2]] = value;
        let error = quantized.logits(images.view()).unwrap_err().to_string();
        assert!(error.contains("not finite"), "{error}");
        assert!(quantized.pooled(images.view()).is_err());
    }
    for network in [network, quantized] {
        for (height, width) in [(0, 0), (0, 8), (8, 0)] {
            let error = network.logits(Array4::zeros((1, 3, height, width)).view()).unwrap_err().to_string();
            assert!(error.contains("smallest picture"), "{error}");
        }
    }
}

//! Calibration: measuring the range of a network's values before quantization.

use std::collections::BTreeMap;

use densenet_kernels::conv::MathMode;
use densenet_kernels::{Affine, FeatureMap, FeatureMaps, Pooling};
use ndarray::{ArrayView4, Axis};
use rayon::prelude::*;

use super::densenet::DenseNet;
use super::folded::FoldedPreAct;
use super::pool::in_pool;
use super::predictor::{Outputs, Watch};
use super::weights::RunningAffine;
use crate::architecture::PreAct;
use crate::config::Joining;
use crate::profile::Probe;
use crate::quantization::{Activations, Calibration, Pixels};
use crate::{Error, Result};

/// Number of pixels that are summed in single precision.
const PIXELS: usize = 256;

/// The statistics of a network's values so far.
#[derive(Debug)]
pub struct Calibrator<'a> {
    network: &'a DenseNet<f32>,
    /// The statistics of each channel of the pictures.
    pictures: Vec<SeenPixels>,
    blocks: Vec<WatchedBlock>,
}

/// The statistics of a channel of the pictures.
#[derive(Clone, Copy, Debug)]
struct SeenPixels {
    low: f32,
    high: f32,
    sum: f64,
    count: usize,
}

/// A block, and its layers and the operation after it as readers of its maps.
#[derive(Debug)]
struct WatchedBlock {
    layers: Vec<WatchedLayer>,
    transition: Option<Reader>,
    /// The lowest and the highest value of each channel.
    ranges: Vec<(f32, f32)>,
}

#[derive(Debug)]
struct WatchedLayer {
    first: Reader,
    /// The bottleneck's convolution, and the reader of its output.
    second: Option<(FoldedPreAct<f32>, Reader)>,
}

/// A convolution, and the statistics of its input.
#[derive(Debug)]
struct Reader {
    name: String,
    affine: RunningAffine<f32>,
    seen: Vec<Seen>,
}

/// The statistics of a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    most: f32,
    sum: f64,
    squares: f64,
    count: f64,
}

impl<'a> Calibrator<'a> {
    /// A calibrator for `network`, without statistics yet.
    ///
    /// # Errors
    /// A network whose layers are not densely connected.
    pub fn new(network: &'a DenseNet<f32>) -> Result<Self> {
        let arch = network.architecture();
        if arch.config.joining != Joining::Dense {
            return Err(Error::Config("only networks with dense connections can be quantized".into()));
        }
        let size = arch.config.input_size;
        let reader = |op: &PreAct| Reader::new(&op.conv.name, network.running_affine(&op.norm));
        let blocks = arch.blocks.iter().zip(arch.block_sizes(size, size)?).map(|(block, (height, _))| WatchedBlock {
            layers: block
                .layers
                .iter()
                .map(|layer| WatchedLayer {
                    first: reader(layer.bottleneck.as_ref().unwrap_or(&layer.conv)),
                    second: layer.bottleneck.as_ref().map(|bottleneck| {
                        let folded = FoldedPreAct::new(
                            bottleneck,
                            Some(&layer.conv.norm),
                            height,
                            &network.weights,
                            MathMode::Strict,
                        );
                        // Its batch-norm and ReLU are applied when it is written.
                        let channels = layer.conv.norm.channels;
                        let affine = RunningAffine { scale: vec![1.0; channels], shift: vec![0.0; channels] };
                        (folded, Reader::new(&layer.conv.conv.name, affine))
                    }),
                })
                .collect(),
            transition: block.transition.as_ref().map(reader),
            ranges: vec![(f32::INFINITY, f32::NEG_INFINITY); block.widths().sum()],
        });
        let unseen = SeenPixels { low: f32::INFINITY, high: f32::NEG_INFINITY, sum: 0.0, count: 0 };
        Ok(Self { blocks: blocks.collect(), pictures: vec![unseen; arch.config.in_channels], network })
    }

    /// Adds the statistics of `images` `(N, C, H, W)`, normalised as in training.
    ///
    /// # Errors
    /// Those of [`DenseNet::pooled`].
    pub fn see(&mut self, images: ArrayView4<'_, f32>) -> Result<()> {
        let grid = self.network.check(&images)?;
        for (seen, channel) in self.pictures.iter_mut().zip(images.axis_iter(Axis(1))) {
            for &x in channel {
                (seen.low, seen.high, seen.sum) = (seen.low.min(x), seen.high.max(x), seen.sum + f64::from(x));
            }
            seen.count += channel.len();
        }
        let (network, blocks) = (self.network, &mut self.blocks);
        let mut features = vec![0.0; grid.images * network.architecture().num_features];
        let mut see = |block: usize, _, maps: FeatureMaps<'_, f32>| blocks[block].see(maps);
        let outputs = Outputs { features: Some(&mut features), logits: None };
        network.predict(&images, grid, outputs, Watch { maps: Some(&mut see), probe: Probe::default() })
    }

    /// The statistics of all images.
    pub fn finish(self) -> Calibration {
        let maps = |block: &WatchedBlock| {
            block.ranges.iter().map(|&(low, high)| (f64::from(low), f64::from(high))).collect::<Vec<_>>()
        };
        let maps = self.blocks.iter().map(maps).collect();
        let readers = self.blocks.into_iter().flat_map(|block| {
            let layers = block
                .layers
                .into_iter()
                .flat_map(|layer| [layer.first].into_iter().chain(layer.second.map(|(_, reader)| reader)));
            layers.chain(block.transition).collect::<Vec<_>>()
        });
        let activations: BTreeMap<String, Activations> = readers.map(Reader::finish).collect();
        let pixels = |seen: SeenPixels| Pixels {
            low: seen.low.into(),
            high: seen.high.into(),
            mean: seen.sum / seen.count as f64,
        };
        let pictures = self.pictures.into_iter().map(pixels).collect();
        Calibration { activations, pictures, maps, measured: true }
    }
}

impl WatchedBlock {
    fn see(&mut self, maps: FeatureMaps<'_, f32>) {
        let Self { layers, transition, ranges } = self;
        in_pool(|| {
            layers.par_iter_mut().enumerate().for_each(|(i, layer)| layer.see(maps.first(i + 1)));
            transition.iter_mut().for_each(|reader| reader.see(maps));
        });
        for FeatureMap { first, channels, data } in maps.iter() {
            let ranges = &mut ranges[first..first + channels];
            for pixel in data.chunks_exact(channels) {
                for ((low, high), &value) in ranges.iter_mut().zip(pixel) {
                    (*low, *high) = (low.min(value), high.max(value));
                }
            }
        }
    }
}

impl WatchedLayer {
    fn see(&mut self, maps: FeatureMaps<'_, f32>) {
        self.first.see(maps);
        let Some((bottleneck, reader)) = &mut self.second else { return };
        let channels = [bottleneck.conv.shape().out_channels];
        let mut output = vec![0.0; channels[0] * maps.grid().pixels()];
        let input = bottleneck.input(maps, Pooling::None);
        bottleneck.conv.run(&input, true, None, &mut output, Probe::default());
        reader.see(FeatureMaps::new(&output, maps.grid(), &channels));
    }
}

impl Reader {
    fn new(name: &str, affine: RunningAffine<f32>) -> Self {
        Self { name: name.into(), seen: vec![Seen::default(); affine.scale.len()], affine }
    }

    fn see(&mut self, maps: FeatureMaps<'_, f32>) {
        let Affine { scale, shift } = self.affine.affine();
        for FeatureMap { first, channels, data } in maps.iter() {
            let all = first..first + channels;
            let (scale, shift, seen) = (&scale[all.clone()], &shift[all.clone()], &mut self.seen[all]);
            for pixels in data.chunks(PIXELS * channels) {
                see_pixels(pixels, scale, shift, seen);
            }
        }
    }

    fn finish(self) -> (String, Activations) {
        let of = |value: fn(&Seen) -> f64| self.seen.iter().map(value).collect();
        let activations = Activations {
            most: of(|seen| seen.most.into()),
            mean: of(|seen| seen.sum / seen.count.max(1.0)),
            square: of(|seen| seen.squares / seen.count.max(1.0)),
        };
        (self.name, activations)
    }
}

/// Adds the statistics of `relu(scale * x + shift)` for a few pixels.
fn see_pixels(pixels: &[f32], scale: &[f32], shift: &[f32], seen: &mut [Seen]) {
    let channels = scale.len();
    let mut sums = vec![(0.0f32, 0.0f32, 0.0f32); channels];
    for pixel in pixels.chunks_exact(channels) {
        for (((&x, &scale), &shift), (most, sum, squares)) in pixel.iter().zip(scale).zip(shift).zip(&mut sums) {
            let z = (x * scale + shift).max(0.0);
            *most = most.max(z);
            *sum += z;
            *squares += z * z;
        }
    }
    for (seen, (most, sum, squares)) in seen.iter_mut().zip(sums) {
        seen.most = seen.most.max(most);
        seen.sum += f64::from(sum);
        seen.squares += f64::from(squares);
        seen.count += (pixels.len() / channels) as f64;
    }
}

//! What a [`Config`] implies: every operation of the network in order, and every tensor with its place.
//!
//! Learnable values live in one arena, running statistics in another; an operation holds ranges into them. Names are
//! torchvision's (`features.denseblock1.denselayer1.norm1.weight`, ..., `classifier.bias`), so weights travel unchanged.

use std::ops::Range;

use crate::config::{Joining, StemShape};
use crate::{Config, Error, Result};

/// A named tensor and its place in an arena, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// torchvision's name.
    pub name: String,
    /// Extents, outermost first: `[out, in, height, width]` for a convolution.
    pub shape: Vec<usize>,
    /// Elements it occupies in its arena.
    pub range: Range<usize>,
}

/// A batch-norm over `channels`.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Name without the last part, as `features.norm5`.
    pub name: String,
    /// Channels that it normalises.
    pub channels: usize,
    /// Scale gamma, in the parameters.
    pub weight: Range<usize>,
    /// Shift beta, in the parameters.
    pub bias: Range<usize>,
    /// Running mean, in the running statistics.
    pub mean: Range<usize>,
    /// Running (unbiased) variance, in the running statistics.
    pub variance: Range<usize>,
}

/// A square convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Name without the last part, as `features.conv0`.
    pub name: String,
    /// Channels read.
    pub in_channels: usize,
    /// Channels made.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// `[out, in, kernel, kernel]`, in the parameters.
    pub weight: Range<usize>,
    /// `[out]`, in the parameters; none without bias.
    pub bias: Option<Range<usize>>,
}

impl Conv {
    /// Output extent along one axis for an input extent, or none where the kernel does not fit.
    pub fn output_extent(&self, input: usize) -> Option<usize> {
        (input + 2 * self.padding).checked_sub(self.kernel).map(|room| room / self.stride + 1)
    }
}

/// The one operation after the stem: `conv(relu(bn(x)))`.
#[derive(Clone, Debug)]
pub struct PreAct {
    /// The batch-norm.
    pub norm: Norm,
    /// The convolution that reads the rectified, normalised input.
    pub conv: Conv,
}

/// A layer `H` of a dense block: an optional 1x1 bottleneck, then the 3x3.
#[derive(Clone, Debug)]
pub struct DenseLayer {
    /// BN-ReLU-Conv(1x1), of the B and BC networks.
    pub bottleneck: Option<PreAct>,
    /// BN-ReLU-Conv(3x3).
    pub conv: PreAct,
}

/// A block of layers and the transition after it (none after the last).
#[derive(Clone, Debug)]
pub struct Block {
    /// Channels that the block starts with.
    pub in_channels: usize,
    /// Its layers.
    pub layers: Vec<DenseLayer>,
    /// BN-ReLU-Conv(1x1), then 2x2 average pooling of stride 2.
    pub transition: Option<PreAct>,
}

impl Block {
    /// Widths of the block's feature maps in the order they are made: the input, then each layer's output.
    pub fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.in_channels).chain(self.layers.iter().map(|layer| layer.conv.conv.out_channels))
    }
}

/// The whole network, as operations over arenas.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// What it was made from.
    pub config: Config,
    /// The first convolution.
    pub stem_conv: Conv,
    /// The stem's batch-norm, which a ReLU follows.
    pub stem_norm: Option<Norm>,
    /// Whether 3x3 max pooling of stride 2 and padding 1 follows the stem's ReLU.
    pub stem_pool: bool,
    /// The blocks, each with its transition.
    pub blocks: Vec<Block>,
    /// The batch-norm before global pooling.
    pub final_norm: Norm,
    /// `[classes, channels]`, in the parameters.
    pub classifier_weight: Range<usize>,
    /// `[classes]`, in the parameters.
    pub classifier_bias: Range<usize>,
    /// Learnable tensors in network order; together they fill the parameter arena.
    pub parameters: Vec<Tensor>,
    /// Running means and variances in network order; together they fill their arena.
    pub running: Vec<Tensor>,
}

impl Architecture {
    /// Lays out the network of `config`.
    ///
    /// # Errors
    /// What [`Config::validate`] finds wrong.
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        let mut arena = Arena { bias: config.bias, ..Arena::default() };
        let StemShape { kernel, stride, norm, pool } = config.stem.shape();
        let mut channels = config.num_init_features;
        let stem_conv = arena.conv("features.conv0", config.in_channels, channels, (kernel, stride, kernel / 2));
        let stem_norm = norm.then(|| arena.norm("features.norm0", channels));
        let mut blocks = Vec::with_capacity(config.block_config.len());
        for (i, &layers) in config.block_config.iter().enumerate() {
            let last = i + 1 == config.block_config.len();
            let block = arena.block(config, i + 1, channels, layers, last);
            channels = match &block.transition {
                Some(transition) => transition.conv.out_channels,
                None => config.block_out(channels, layers),
            };
            blocks.push(block);
        }
        let final_norm = arena.norm("features.norm5", channels);
        let classifier_weight = arena.parameter("classifier.weight", &[config.num_classes, channels]);
        let classifier_bias = arena.parameter("classifier.bias", &[config.num_classes]);
        Ok(Self {
            config: config.clone(),
            stem_conv,
            stem_norm,
            stem_pool: pool,
            blocks,
            final_norm,
            classifier_weight,
            classifier_bias,
            parameters: arena.parameters,
            running: arena.running,
        })
    }

    /// Learnable values in all.
    pub fn num_parameters(&self) -> usize {
        self.parameters.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Running statistics in all.
    pub fn num_running(&self) -> usize {
        self.running.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Every batch-norm in network order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        let blocks = self.blocks.iter().flat_map(|block| {
            let layers =
                block.layers.iter().flat_map(|layer| layer.bottleneck.iter().chain(std::iter::once(&layer.conv)));
            layers.chain(&block.transition).map(|preact| &preact.norm)
        });
        self.stem_norm.iter().chain(blocks).chain(std::iter::once(&self.final_norm))
    }

    /// Height and width of the feature maps of each block for a picture of `height` by `width`.
    ///
    /// # Errors
    /// A picture that some layer shrinks to nothing; the message names the layer and the smallest size that works.
    pub fn block_sizes(&self, height: usize, width: usize) -> Result<Vec<(usize, usize)>> {
        match (self.block_extents(height), self.block_extents(width)) {
            (Ok(heights), Ok(widths)) => Ok(heights.into_iter().zip(widths).collect()),
            (Err(layer), _) | (_, Err(layer)) => {
                let smallest = (1..).find(|&extent| self.block_extents(extent).is_ok()).unwrap_or(usize::MAX);
                let reason = format!(
                    "nothing is left of it at {layer}; the smallest picture for this network is {smallest}x{smallest}"
                );
                Err(Error::PictureSize { height, width, reason })
            }
        }
    }

    /// Extent along one axis of the feature maps of each block, or the layer at which nothing is left.
    fn block_extents(&self, input: usize) -> Result<Vec<usize>, String> {
        let mut extent = self.stem_conv.output_extent(input).filter(|&e| e > 0).ok_or("features.conv0")?;
        if self.stem_pool {
            extent = pooled_stem_extent(extent);
        }
        let mut extents = vec![extent];
        for i in 1..self.blocks.len() {
            extent /= 2;
            if extent == 0 {
                return Err(format!("features.transition{i}"));
            }
            extents.push(extent);
        }
        Ok(extents)
    }
}

/// Extent after the stem's 3x3 max pooling of stride 2 and padding 1.
pub(crate) fn pooled_stem_extent(extent: usize) -> usize {
    (extent - 1) / 2 + 1
}

/// Hands out places in the two arenas.
#[derive(Default)]
struct Arena {
    bias: bool,
    parameters: Vec<Tensor>,
    running: Vec<Tensor>,
}

impl Arena {
    fn parameter(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        place(&mut self.parameters, name, shape)
    }

    fn norm(&mut self, name: &str, channels: usize) -> Norm {
        Norm {
            name: name.into(),
            channels,
            weight: self.parameter(&format!("{name}.weight"), &[channels]),
            bias: self.parameter(&format!("{name}.bias"), &[channels]),
            mean: place(&mut self.running, &format!("{name}.running_mean"), &[channels]),
            variance: place(&mut self.running, &format!("{name}.running_var"), &[channels]),
        }
    }

    fn conv(&mut self, name: &str, input: usize, output: usize, geometry: (usize, usize, usize)) -> Conv {
        let (kernel, stride, padding) = geometry;
        Conv {
            name: name.into(),
            in_channels: input,
            out_channels: output,
            kernel,
            stride,
            padding,
            weight: self.parameter(&format!("{name}.weight"), &[output, input, kernel, kernel]),
            bias: self.bias.then(|| self.parameter(&format!("{name}.bias"), &[output])),
        }
    }

    fn pre_act(&mut self, norm: &str, conv: &str, input: usize, output: usize, kernel: usize) -> PreAct {
        let norm = self.norm(norm, input);
        PreAct { norm, conv: self.conv(conv, input, output, (kernel, 1, kernel / 2)) }
    }

    fn layer(&mut self, config: &Config, name: &str, input: usize, output: usize) -> DenseLayer {
        let [norm1, conv1, norm2, conv2] = ["norm1", "conv1", "norm2", "conv2"].map(|part| format!("{name}.{part}"));
        match config.bn_size {
            Some(bn_size) => {
                let width = bn_size * config.growth_rate;
                let bottleneck = self.pre_act(&norm1, &conv1, input, width, 1);
                DenseLayer { bottleneck: Some(bottleneck), conv: self.pre_act(&norm2, &conv2, width, output, 3) }
            }
            None => DenseLayer { bottleneck: None, conv: self.pre_act(&norm1, &conv1, input, output, 3) },
        }
    }

    fn block(&mut self, config: &Config, number: usize, in_channels: usize, layers: usize, last: bool) -> Block {
        let layers_out = (0..layers)
            .map(|i| {
                let name = format!("features.denseblock{number}.denselayer{}", i + 1);
                let input = config.block_out(in_channels, i);
                let output = match config.joining {
                    Joining::Dense => config.growth_rate,
                    Joining::Residual | Joining::Plain => in_channels,
                };
                self.layer(config, &name, input, output)
            })
            .collect();
        let channels = config.block_out(in_channels, layers);
        let transition = (!last).then(|| {
            let name = format!("features.transition{number}");
            self.pre_act(&format!("{name}.norm"), &format!("{name}.conv"), channels, config.compressed(channels), 1)
        });
        Block { in_channels, layers: layers_out, transition }
    }
}

fn place(arena: &mut Vec<Tensor>, name: &str, shape: &[usize]) -> Range<usize> {
    let start = arena.last().map_or(0, |tensor| tensor.range.end);
    let range = start..start + shape.iter().product::<usize>();
    arena.push(Tensor { name: name.into(), shape: shape.to_vec(), range: range.clone() });
    range
}

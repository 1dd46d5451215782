//! What a [`Config`] implies: every operation of the network in order, and every tensor with its place.
//!
//! Learnable values live in one arena, running statistics in another; an operation holds ranges into them. Names are
//! torchvision's (`features.denseblock1.denselayer1.norm1.weight`, ..., `classifier.bias`), so weights can be exchanged
//! unchanged. A classifier with several layers uses the names of a `Sequential(Linear, ReLU, Linear, ...)` instead:
//! `classifier.0`, `classifier.2`, ...

use std::ops::Range;

use crate::config::{Activation, HeadPool, Joining, MOST_FEATURES, StemPool, StemShape};
use crate::{Config, Error, Result};

/// A named tensor and its place in an arena, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// torchvision's name.
    pub name: String,
    /// Extents, outermost first: `[out, in, height, width]` for a convolution.
    pub shape: Vec<usize>,
    /// Elements that it occupies in its arena.
    pub range: Range<usize>,
}

/// A batch-norm over `channels`.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Name without the last part, e.g. `features.norm5`.
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
    /// Leading channels that this batch-norm shares with an earlier reader, at the same places in the arenas; 0 except
    /// in post-activation networks.
    pub seen: usize,
    /// Whether a later reader shares all channels with this one.
    pub seen_again: bool,
}

/// A square convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Name without the last part, e.g. `features.conv0`.
    pub name: String,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// `[out, in, kernel, kernel]`, in the parameters.
    pub weight: Range<usize>,
    /// `[out]`, in the parameters; `None` without bias.
    pub bias: Option<Range<usize>>,
}

impl Conv {
    /// Output extent along one axis for an input extent, or `None` where the kernel does not fit.
    pub fn output_extent(&self, input: usize) -> Option<usize> {
        (input + 2 * self.padding).checked_sub(self.kernel).map(|room| room / self.stride + 1)
    }
}

/// The only operation after the stem: `conv(relu(bn(x)))`.
#[derive(Clone, Debug)]
pub struct PreAct {
    /// The batch-norm.
    pub norm: Norm,
    /// The convolution that reads the rectified, normalised input.
    pub conv: Conv,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Name without the last part, e.g. `classifier`.
    pub name: String,
    /// Input values.
    pub in_features: usize,
    /// Output values.
    pub out_features: usize,
    /// Whether a ReLU follows, as it does after every layer except the last.
    pub relu: bool,
    /// `[out, in]`, in the parameters.
    pub weight: Range<usize>,
    /// `[out]`, in the parameters.
    pub bias: Range<usize>,
}

/// A layer `H` of a dense block: an optional 1x1 bottleneck, then the 3x3.
#[derive(Clone, Debug)]
pub struct DenseLayer {
    /// BN-ReLU-Conv(1x1), in the B and BC networks.
    pub bottleneck: Option<PreAct>,
    /// BN-ReLU-Conv(3x3).
    pub conv: PreAct,
}

/// A dense block and the transition after it (`None` after the last block).
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
    /// Widths of the block's feature maps in the order in which they are made: the input, then each layer's output.
    pub fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.in_channels).chain(self.layers.iter().map(|layer| layer.conv.conv.out_channels))
    }
}

/// The whole network, as operations over arenas.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// The configuration that it was made from.
    pub config: Config,
    /// The first convolution.
    pub stem_conv: Conv,
    /// The stem's batch-norm, which a ReLU follows.
    pub stem_norm: Option<Norm>,
    /// The pooling after the stem's ReLU, if any.
    pub stem_pool: Option<StemPool>,
    /// The blocks, each with its transition.
    pub blocks: Vec<Block>,
    /// The batch-norm after the last block.
    pub final_norm: Norm,
    /// Features of a picture: what [`HeadPool`] makes of the last block's maps.
    pub num_features: usize,
    /// The linear layers from features to classes, with a ReLU between each two; none in a backbone.
    pub classifier: Vec<Linear>,
    /// Learnable tensors in network order; together they fill the parameter arena.
    pub parameters: Vec<Tensor>,
    /// Running means and variances in network order; together they fill their arena.
    pub running: Vec<Tensor>,
}

impl Architecture {
    /// Lays out the network of `config`.
    ///
    /// # Errors
    /// Everything that [`Config::validate`] rejects, and an input size that leaves nothing for a classifier of all
    /// pixels.
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        let mut arena = Arena { bias: config.bias, ..Arena::default() };
        let StemShape { kernel, stride, norm, pool } = config.stem.shape();
        let mut channels = config.num_init_features;
        let stem_conv = arena.conv("features.conv0", config.in_channels, channels, (kernel, stride, kernel / 2));
        let stem_norm = norm.then(|| arena.norm("features.norm0", channels));
        let mut blocks = Vec::with_capacity(config.block_config.len());
        let mut shared = None;
        for (i, &layers) in config.block_config.iter().enumerate() {
            let last = i + 1 == config.block_config.len();
            let block;
            (block, shared) = arena.block(config, i + 1, channels, layers, last);
            channels = match &block.transition {
                Some(transition) => transition.conv.out_channels,
                None => config.block_out(channels, layers),
            };
            blocks.push(block);
        }
        let layers = config.block_config.last().copied().unwrap_or_default();
        let final_norm = arena.reader(shared.as_ref(), layers, "features.norm5", channels);
        let num_features = match config.head_pool {
            HeadPool::Average | HeadPool::Max => channels,
            HeadPool::None => {
                let extents = block_extents(&stem_conv, pool, blocks.len(), config.input_size);
                all_pixels(channels, config.input_size, extents)?
            }
        };
        let classifier = arena.classifier(config, num_features);
        Ok(Self {
            config: config.clone(),
            stem_conv,
            stem_norm,
            stem_pool: pool,
            blocks,
            final_norm,
            num_features,
            classifier,
            parameters: arena.parameters,
            running: arena.running,
        })
    }

    /// The total number of learnable values.
    pub fn num_parameters(&self) -> usize {
        self.parameters.last().map_or(0, |tensor| tensor.range.end)
    }

    /// The total number of running statistics.
    pub fn num_running(&self) -> usize {
        self.running.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Every `conv(relu(bn(x)))` of the blocks and transitions, in network order.
    pub fn pre_activations(&self) -> impl Iterator<Item = &PreAct> {
        self.blocks.iter().flat_map(|block| {
            let layers = block.layers.iter().flat_map(|layer| layer.bottleneck.iter().chain([&layer.conv]));
            layers.chain(&block.transition)
        })
    }

    /// Every convolution, in network order.
    pub fn convs(&self) -> impl Iterator<Item = &Conv> {
        std::iter::once(&self.stem_conv).chain(self.pre_activations().map(|op| &op.conv))
    }

    /// Every batch-norm as it is applied, in network order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        let blocks = self.pre_activations().map(|op| &op.norm);
        self.stem_norm.iter().chain(blocks).chain(std::iter::once(&self.final_norm))
    }

    /// Outputs of the network for a picture: one logit per class, or the features of a backbone, which has no
    /// classifier.
    pub fn num_outputs(&self) -> usize {
        if self.classifier.is_empty() { self.num_features } else { self.config.num_classes }
    }

    /// Checks that there is a classifier.
    ///
    /// # Errors
    /// A backbone, which computes features and no logits.
    pub fn check_classifier(&self) -> Result<()> {
        if self.classifier.is_empty() {
            let message =
                "the network has no classifier (num_classes is 0): it computes features and cannot predict classes";
            return Err(Error::Config(message.into()));
        }
        Ok(())
    }

    /// Height and width of the feature maps of each block for a picture of `height` by `width`.
    ///
    /// # Errors
    /// A picture that some layer shrinks to nothing; the message names the layer and the smallest size that works.
    /// Where all pixels are classified, a picture that leaves a different number of them than one of the network's
    /// input size.
    pub fn block_sizes(&self, height: usize, width: usize) -> Result<Vec<(usize, usize)>> {
        let wrong = |reason| Err(Error::PictureSize { height, width, reason });
        let sizes: Vec<(usize, usize)> = match (self.block_extents(height), self.block_extents(width)) {
            (Ok(heights), Ok(widths)) => heights.into_iter().zip(widths).collect(),
            (Err(layer), _) | (_, Err(layer)) => {
                let smallest = (1..).find(|&extent| self.block_extents(extent).is_ok()).unwrap_or(usize::MAX);
                return wrong(format!(
                    "nothing is left of it at {layer}; the smallest picture for this network is {smallest}x{smallest}"
                ));
            }
        };
        let (&(rows, columns), size) = (sizes.last().expect("at least one block"), self.config.input_size);
        let native = self.block_extents(size).ok().and_then(|extents| extents.last().copied());
        if self.config.head_pool == HeadPool::None && [Some(rows), Some(columns)] != [native; 2] {
            return wrong(format!(
                "it leaves {rows}x{columns} pixels, and this network classifies all of them, so it takes pictures of \
                 {size}x{size} only"
            ));
        }
        Ok(sizes)
    }

    fn block_extents(&self, input: usize) -> Result<Vec<usize>, String> {
        block_extents(&self.stem_conv, self.stem_pool, self.blocks.len(), input)
    }
}

/// Extent along one axis of the feature maps of each of `blocks` blocks, or the layer at which nothing is left.
fn block_extents(stem: &Conv, pool: Option<StemPool>, blocks: usize, input: usize) -> Result<Vec<usize>, String> {
    let mut extent = stem.output_extent(input).filter(|&extent| extent > 0).ok_or("features.conv0")?;
    if let Some(pool) = pool {
        extent = pool.output_extent(extent).ok_or("features.pool0")?;
    }
    let mut extents = vec![extent];
    for i in 1..blocks {
        extent /= 2;
        if extent == 0 {
            return Err(format!("features.transition{i}"));
        }
        extents.push(extent);
    }
    Ok(extents)
}

/// Number of values in all pixels of the last block's maps of `channels`, for a picture of `size` and these `extents`.
fn all_pixels(channels: usize, size: usize, extents: Result<Vec<usize>, String>) -> Result<usize> {
    let extents = extents.map_err(|layer| {
        Error::Config(format!("nothing is left at {layer} of an input of {size}x{size}; a larger input_size is needed"))
    })?;
    let extent = *extents.last().expect("at least one block");
    let features = channels * extent * extent;
    if features > MOST_FEATURES {
        return Err(Error::Config(format!(
            "an input of {size}x{size} leaves {extent}x{extent} pixels of {channels} channels, {features} values; without \
             pooling before the classifier at most {MOST_FEATURES} are accepted"
        )));
    }
    Ok(features)
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

    /// The batch-norm `name` of reader `i` of a block's maps: its own, or its part of the one that all readers `share`.
    fn reader(&mut self, shared: Option<&SharedNorm>, i: usize, name: &str, channels: usize) -> Norm {
        shared.map_or_else(|| self.norm(name, channels), |shared| shared.read_by(i, name))
    }

    fn norm(&mut self, name: &str, channels: usize) -> Norm {
        Norm {
            name: name.into(),
            channels,
            weight: self.parameter(&format!("{name}.weight"), &[channels]),
            bias: self.parameter(&format!("{name}.bias"), &[channels]),
            mean: place(&mut self.running, &format!("{name}.running_mean"), &[channels]),
            variance: place(&mut self.running, &format!("{name}.running_var"), &[channels]),
            seen: 0,
            seen_again: false,
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

    /// The linear layers from features to classes, if there are any.
    fn classifier(&mut self, config: &Config, num_features: usize) -> Vec<Linear> {
        let mut in_features = num_features;
        let classes = (config.num_classes > 0).then_some(config.num_classes);
        let layer = |(i, out_features): (usize, usize)| {
            let name = if config.hidden.is_empty() { "classifier".into() } else { format!("classifier.{}", 2 * i) };
            let weight = self.parameter(&format!("{name}.weight"), &[out_features, in_features]);
            let bias = self.parameter(&format!("{name}.bias"), &[out_features]);
            let relu = i < config.hidden.len();
            let linear = Linear { name, in_features, out_features, relu, weight, bias };
            in_features = out_features;
            linear
        };
        config.hidden.iter().copied().chain(classes).enumerate().map(layer).collect()
    }

    fn pre_act(&mut self, norm: Norm, conv: &str, output: usize, kernel: usize) -> PreAct {
        let conv = self.conv(conv, norm.channels, output, (kernel, 1, kernel / 2));
        PreAct { norm, conv }
    }

    /// The layer `name` that makes `output` channels from what `norm` reads.
    fn layer(&mut self, config: &Config, name: &str, norm: Norm, output: usize) -> DenseLayer {
        let [conv1, norm2, conv2] = ["conv1", "norm2", "conv2"].map(|part| format!("{name}.{part}"));
        match config.bn_size {
            Some(bn_size) => {
                let width = bn_size * config.growth_rate;
                let bottleneck = self.pre_act(norm, &conv1, width, 1);
                let norm = self.norm(&norm2, width);
                DenseLayer { bottleneck: Some(bottleneck), conv: self.pre_act(norm, &conv2, output, 3) }
            }
            None => DenseLayer { bottleneck: None, conv: self.pre_act(norm, &conv1, output, 3) },
        }
    }

    /// Block `number`, with the batch-norm that its readers share, if they do.
    fn block(
        &mut self,
        config: &Config,
        number: usize,
        in_channels: usize,
        layers: usize,
        last: bool,
    ) -> (Block, Option<SharedNorm>) {
        let output = match config.joining {
            Joining::Dense => config.growth_rate,
            Joining::Residual | Joining::Plain => in_channels,
        };
        let shared = (config.activation == Activation::Post).then(|| {
            let widths: Vec<usize> = std::iter::once(in_channels).chain(std::iter::repeat_n(output, layers)).collect();
            let norm = self.norm(&format!("features.denseblock{number}.norm"), widths.iter().sum());
            SharedNorm { norm, widths, joining: config.joining }
        });
        let layer = |i| {
            let name = format!("features.denseblock{number}.denselayer{}", i + 1);
            let norm = self.reader(shared.as_ref(), i, &format!("{name}.norm1"), config.block_out(in_channels, i));
            self.layer(config, &name, norm, output)
        };
        let layers_out = (0..layers).map(layer).collect();
        let channels = config.block_out(in_channels, layers);
        let transition = (!last).then(|| {
            let name = format!("features.transition{number}");
            let norm = self.reader(shared.as_ref(), layers, &format!("{name}.norm"), channels);
            self.pre_act(norm, &format!("{name}.conv"), config.compressed(channels), 1)
        });
        (Block { in_channels, layers: layers_out, transition }, shared)
    }
}

/// The batch-norm of a post-activation block: over all its maps, with one scale and shift per channel for all readers.
///
/// Normalising and rectifying a map once, after its convolution, is the same as doing so with the same scale and shift
/// before each convolution that reads it. So a post-activation network is a pre-activation network whose readers share
/// their scales and shifts.
struct SharedNorm {
    norm: Norm,
    /// Channels of each map.
    widths: Vec<usize>,
    joining: Joining,
}

impl SharedNorm {
    /// The part that reader `i` of the maps applies, called `name`.
    fn read_by(&self, i: usize, name: &str) -> Norm {
        let before = |map: usize| self.widths[..map].iter().sum::<usize>();
        let maps = self.joining.read_by(i);
        let (first, end) = (before(maps.start), before(maps.end));
        let part = |place: &Range<usize>| place.start + first..place.start + end;
        Norm {
            name: name.into(),
            channels: end - first,
            weight: part(&self.norm.weight),
            bias: part(&self.norm.bias),
            mean: part(&self.norm.mean),
            variance: part(&self.norm.variance),
            seen: before(i) - first,
            seen_again: self.joining == Joining::Dense && i + 1 < self.widths.len(),
        }
    }
}

fn place(arena: &mut Vec<Tensor>, name: &str, shape: &[usize]) -> Range<usize> {
    let start = arena.last().map_or(0, |tensor| tensor.range.end);
    let range = start..start + shape.iter().product::<usize>();
    arena.push(Tensor { name: name.into(), shape: shape.to_vec(), range: range.clone() });
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PoolKind, Stem, StemShape};

    /// Blocks of 2 and 2 layers that end with 12 channels; of 32x32 pixels, 16x16 are left.
    fn small() -> Config {
        let preset = Config::preset("densenet-bc-40-12").unwrap();
        Config { num_init_features: 8, growth_rate: 4, block_config: vec![2, 2], ..preset }
    }

    #[test]
    fn linear_layers_are_named_as_pytorchs_sequential_names_them() {
        let names = |config: &Config| -> Vec<(String, Vec<usize>)> {
            let architecture = Architecture::new(config).unwrap();
            let linear = architecture.parameters.iter().filter(|tensor| tensor.name.starts_with("classifier"));
            linear.map(|tensor| (tensor.name["classifier".len()..].into(), tensor.shape.clone())).collect()
        };
        assert_eq!(names(&small()), [(".weight".into(), vec![10, 16]), (".bias".into(), vec![10])]);
        let hidden = Config { hidden: vec![7, 5], ..small() };
        let expected = [
            (".0.weight", vec![7, 16]),
            (".0.bias", vec![7]),
            (".2.weight", vec![5, 7]),
            (".2.bias", vec![5]),
            (".4.weight", vec![10, 5]),
            (".4.bias", vec![10]),
        ];
        assert_eq!(names(&hidden), expected.map(|(name, shape)| (name.to_string(), shape)));
        assert_eq!(names(&Config { num_classes: 0, ..small() }), []);
        let backbone = Architecture::new(&Config { num_classes: 0, ..small() }).unwrap();
        assert!(backbone.check_classifier().unwrap_err().to_string().contains("no classifier"));
    }

    #[test]
    fn a_classifier_of_all_pixels_fixes_the_size_of_pictures() {
        let flat = Config { head_pool: HeadPool::None, ..small() };
        let architecture = Architecture::new(&flat).unwrap();
        assert_eq!(architecture.num_features, 16 * 16 * 16);
        assert_eq!(architecture.classifier[0].in_features, 16 * 16 * 16);
        assert_eq!(architecture.block_sizes(32, 33).unwrap(), [(32, 33), (16, 16)]);
        for (height, width) in [(32, 34), (30, 32), (64, 8)] {
            let error = architecture.block_sizes(height, width).unwrap_err().to_string();
            assert!(error.contains("pictures of 32x32 only"), "{error}");
        }
        let error = |input_size| Architecture::new(&Config { input_size, ..flat.clone() }).unwrap_err().to_string();
        assert!(error(1).contains("a larger input_size"), "{}", error(1));
        assert!(error(2048).contains("1024x1024 pixels of 16 channels"), "{}", error(2048));
    }

    #[test]
    fn a_stem_pools_by_its_own_window() {
        let sizes = |kind, kernel, stride, padding, size| {
            let pool = Some(StemPool { kind, kernel, stride, padding });
            let stem = Stem::Other(StemShape { kernel: 3, stride: 1, norm: true, pool });
            Architecture::new(&Config { stem, ..small() }).unwrap().block_sizes(size, size).map(|sizes| sizes[0].0)
        };
        assert_eq!(sizes(PoolKind::Max, 2, 2, 0, 33).unwrap(), 16);
        assert_eq!(sizes(PoolKind::Average, 5, 3, 2, 32).unwrap(), 11);
        let error = sizes(PoolKind::Max, 9, 9, 0, 8).unwrap_err().to_string();
        assert!(
            error.contains("features.pool0") && error.contains("smallest picture for this network is 18x18"),
            "{error}"
        );
    }
}

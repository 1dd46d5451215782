//! The steps of inference: its operations in order, and how each is computed.

use std::fmt::{self, Display, Formatter};

use densenet_kernels::conv::Algorithm;
use densenet_kernels::winograd::TileSize;
use serde::Serialize;

/// An operation of inference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// torchvision's name for the convolution, pooling, batch-norm or linear layer.
    pub name: String,
    /// The part of the network that it belongs to.
    pub part: Part,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Height and width of its window, in pixels.
    pub window: [usize; 2],
    /// Height and width of its output, in pixels.
    pub output: [usize; 2],
    /// How it is computed.
    pub method: Method,
}

/// Parts of a network whose operations are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Part {
    /// Before the first block.
    #[serde(rename = "stem")]
    Stem,
    /// The bottlenecks of dense layers.
    #[serde(rename = "1x1")]
    Bottleneck,
    /// The 3x3 convolutions of dense layers.
    #[serde(rename = "3x3")]
    Layer,
    /// Between blocks.
    #[serde(rename = "transition")]
    Transition,
    /// After the last block.
    #[serde(rename = "head")]
    Head,
}

impl Part {
    /// All parts, in their order in a network.
    pub const ALL: [Self; 5] = [Self::Stem, Self::Bottleneck, Self::Layer, Self::Transition, Self::Head];
}

/// Ways to compute an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Method {
    /// The direct sum of products.
    #[serde(rename = "plain")]
    Plain,
    /// The direct sum of bfloat16 products.
    #[serde(rename = "bf16")]
    Bf16,
    /// The direct sum after the pooling that follows it in the network, which commutes with it: a quarter of the
    /// pixels.
    #[serde(rename = "pooled first")]
    PooledFirst,
    /// Winograd's minimal filtering for 2x2 outputs: four ninths of the multiplications.
    #[serde(rename = "F(2x2)")]
    Two,
    /// The same for 4x4 outputs: a quarter of the multiplications.
    #[serde(rename = "F(4x4)")]
    Four,
    /// The sum of products of 8-bit integers; a transition's comes after the pooling that follows it.
    #[serde(rename = "int8")]
    Integers,
    /// Batch-norm, ReLU and pooling, or pooling alone; no multiply-adds are counted.
    #[serde(rename = "pooling")]
    Pooling,
}

impl Step {
    /// A pooling of `channels` with this window, to an output with these extents.
    pub(super) fn pooling(name: &str, part: Part, channels: usize, window: [usize; 2], output: [usize; 2]) -> Self {
        let name = name.into();
        Self { name, part, in_channels: channels, out_channels: channels, window, output, method: Method::Pooling }
    }
}

impl From<Algorithm> for Method {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Direct => Self::Plain,
            Algorithm::Bf16 => Self::Bf16,
            Algorithm::Winograd(TileSize::Two) => Self::Two,
            Algorithm::Winograd(TileSize::Four) => Self::Four,
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Display for Method {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Display for Step {
    /// Formatted like `64→128 1x1 at 56x56`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { in_channels, out_channels, window: [wy, wx], output: [height, width], .. } = self;
        write!(f, "{in_channels}→{out_channels} {wy}x{wx} at {height}x{width}")
    }
}

//! The architecture's convolutions and poolings as arguments for the operations.

use densenet_kernels::conv::ConvShape;
use densenet_kernels::{Window, head, stem};

use crate::architecture::Conv;
use crate::config::{HeadPool, PoolKind, StemPool};

/// Channels and window of a convolution.
pub(super) fn conv_shape(conv: &Conv) -> ConvShape {
    let window = Window { kernel: conv.kernel, stride: conv.stride, padding: conv.padding };
    ConvShape { in_channels: conv.in_channels, out_channels: conv.out_channels, window }
}

/// A stem's pooling.
pub(super) fn stem_pool(StemPool { kind, kernel, stride, padding }: StemPool) -> stem::Pool {
    let window = Window { kernel, stride, padding };
    match kind {
        PoolKind::Max => stem::Pool::Max(window),
        PoolKind::Average => stem::Pool::Average(window),
    }
}

/// How the last maps are pooled.
pub(super) fn head_pool(pool: HeadPool) -> head::Pool {
    match pool {
        HeadPool::Average => head::Pool::Average,
        HeadPool::Max => head::Pool::Max,
        HeadPool::None => head::Pool::Flatten,
    }
}

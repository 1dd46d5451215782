//! The architecture's convolutions as the operations take them.

use densenet_kernels::Window;
use densenet_kernels::conv::ConvShape;

use crate::architecture::Conv;

/// Channels and window of a convolution.
pub(super) fn conv_shape(conv: &Conv) -> ConvShape {
    let window = Window { kernel: conv.kernel, stride: conv.stride, padding: conv.padding };
    ConvShape { in_channels: conv.in_channels, out_channels: conv.out_channels, window }
}

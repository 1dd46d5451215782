//! The passes of a convolution by an algorithm of the test's choice.

use densenet_kernels::batch_norm::{Moments, NormGradient, Normalised, Write};
use densenet_kernels::conv::{Algorithm, ConvShape, Epilogue, OutputGradient};
use densenet_kernels::winograd::{self, Filters};
use densenet_kernels::{Input, Real, direct};

/// A convolution and how it is computed. Weights are `[out][in][kernel][kernel]`, gradients finished.
#[derive(Clone, Copy, Debug)]
pub struct FastConv {
    pub shape: ConvShape,
    pub algorithm: Algorithm,
}

impl FastConv {
    /// The output in inference.
    pub fn forward<T: Real>(&self, input: &Input<'_, T>, weight: &[T], epilogue: &Epilogue<'_, T>, y: &mut [T]) {
        let ConvShape { in_channels, out_channels, window } = self.shape;
        match self.algorithm {
            Algorithm::Direct => {
                let weights = direct::pack_forward(weight, out_channels, in_channels, window.kernel);
                direct::forward(input, window, &weights, epilogue, y);
            }
            Algorithm::Bf16 => {
                let weights = direct::pack_forward_bf16(weight, out_channels, in_channels, window.kernel);
                direct::forward_bf16(input, window, &weights, epilogue, y);
            }
            Algorithm::Winograd(tile) => {
                winograd::forward(input, &Filters::new(tile, weight, out_channels, in_channels), epilogue, y);
            }
        }
    }

    /// The output in training, and its batch statistics.
    pub fn forward_with_moments<T: Real>(
        &self,
        input: &Input<'_, T>,
        weight: &[T],
        epilogue: &Epilogue<'_, T>,
        y: &mut [T],
    ) -> Moments<T> {
        let ConvShape { in_channels, out_channels, window } = self.shape;
        match self.algorithm {
            Algorithm::Direct => {
                let weights = direct::pack_forward(weight, out_channels, in_channels, window.kernel);
                direct::forward_with_moments(input, window, &weights, epilogue, y)
            }
            Algorithm::Bf16 => unreachable!("training rounds nothing"),
            Algorithm::Winograd(tile) => {
                let filters = Filters::new(tile, weight, out_channels, in_channels);
                winograd::forward_with_moments(input, &filters, epilogue, y)
            }
        }
    }

    /// The gradient of the maps that the convolution read, and that of its batch-norm.
    pub fn backward_data<T: Real>(
        &self,
        dy: &[T],
        weight: &[T],
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
    ) -> NormGradient<T> {
        let ConvShape { in_channels, out_channels, window } = self.shape;
        match self.algorithm {
            Algorithm::Direct => {
                let weights = direct::pack_backward(weight, out_channels, in_channels, window.kernel);
                direct::backward_data(dy, window, &weights, reader, write, dx)
            }
            Algorithm::Bf16 => unreachable!("training rounds nothing"),
            Algorithm::Winograd(tile) => {
                let filters = Filters::rotated(tile, weight, out_channels, in_channels);
                winograd::backward_data(dy, &filters, reader, write, dx)
            }
        }
    }

    /// The gradient of the weights.
    pub fn backward_weights<T: Real>(&self, input: &Input<'_, T>, dy: &[T], dw: &mut [T]) {
        match self.algorithm {
            Algorithm::Direct => {
                let dy = OutputGradient::Finished { dy, channels: self.shape.out_channels };
                direct::backward_weights(input, self.shape.window, &dy, dw);
            }
            Algorithm::Bf16 => unreachable!("training rounds nothing"),
            Algorithm::Winograd(tile) => winograd::backward_weights(input, tile, dy, dw),
        }
    }
}

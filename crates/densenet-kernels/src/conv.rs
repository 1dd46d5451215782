//! Convolution of a pre-activation, forward and backward: the operation that a DenseNet consists of. The algorithm,
//! [direct] or [Winograd's](crate::winograd), is chosen here.

use crate::batch_norm::{Moments, NormGradient, Normalised, Uncorrected, Write};
use crate::direct;
pub use crate::direct::{OutputGradient, backward_bias, backward_pictures};
pub use crate::epilogue::Epilogue;
use crate::gemm::PackedWeights;
use crate::instantiate::instantiate;
use crate::pack::Input;
use crate::scalar::{Bf16, Scalar};
use crate::shapes::{Grid, Window};
use crate::winograd::{self, Filters, TileSize};

/// Number of input channels from which Winograd's transforms pay off.
const MIN_CHANNELS: usize = 16;

/// Height of maps from which 4x4 tiles pay off in training, where a batch shares the weights.
const MIN_ROWS_IN_TRAINING: usize = 3;

/// Height from which 4x4 tiles pay off in inference. Below it, reading the 2.3 times larger weights costs more than the
/// saved multiplications.
const MIN_ROWS_OF_FOUR: usize = 20;

/// Height from which 2x2 tiles pay off in inference. Below it, little more than the weights is read.
const MIN_ROWS_OF_TWO: usize = 5;

/// Channels and window of a convolution, whose weights are `[out][in][kernel][kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Its kernel extent, stride and padding.
    pub window: Window,
}

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The sum as in its definition.
    Direct,
    /// The same with factors rounded to bfloat16.
    Bf16,
    /// Winograd's minimal filtering.
    Winograd(TileSize),
}

impl ConvShape {
    /// Multiply-adds of the direct sum, for an output of `grid`.
    pub fn macs(&self, grid: Grid) -> u64 {
        let Self { in_channels, out_channels, window } = self;
        (window.kernel * window.kernel * in_channels * out_channels * grid.pixels()) as u64
    }

    fn suits_winograd(&self) -> bool {
        self.window == winograd::WINDOW && self.in_channels >= MIN_CHANNELS
    }

    /// The faster algorithm for training on maps of `grid`, forward and backward.
    pub fn algorithm_in_training(&self, grid: Grid) -> Algorithm {
        match self.suits_winograd() && grid.height >= MIN_ROWS_IN_TRAINING {
            true => Algorithm::Winograd(TileSize::Four),
            false => Algorithm::Direct,
        }
    }

    /// The faster algorithm for inference on maps that are usually `height` pixels high.
    pub fn algorithm_in_inference(&self, height: usize, mode: MathMode) -> Algorithm {
        match self.suits_winograd() {
            true if height >= MIN_ROWS_OF_FOUR => Algorithm::Winograd(TileSize::Four),
            true if height >= MIN_ROWS_OF_TWO => Algorithm::Winograd(TileSize::Two),
            // Products are computed for pairs of channels.
            _ if mode == MathMode::Bf16 && self.in_channels.is_multiple_of(2) => Algorithm::Bf16,
            _ => Algorithm::Direct,
        }
    }
}

/// The precision of products in floating point, like oneDNN's floating-point math mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MathMode {
    /// Factors are not rounded.
    #[default]
    Strict,
    /// Factors are rounded to bfloat16 where that saves time; their products are accumulated without rounding.
    Bf16,
}

/// A convolution with its weights packed for inference.
#[derive(Debug)]
pub struct PackedConv<T: Scalar> {
    shape: ConvShape,
    weights: Weights<T>,
}

/// Weights, packed for one of the algorithms.
#[derive(Debug)]
enum Weights<T: Scalar> {
    Direct(PackedWeights<T>),
    Bf16(PackedWeights<Bf16<T>>),
    Winograd(Filters<T>),
}

impl<T: Scalar> PackedConv<T> {
    /// Its channels and window.
    pub fn shape(&self) -> ConvShape {
        self.shape
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.weights {
            Weights::Direct(_) => Algorithm::Direct,
            Weights::Bf16(_) => Algorithm::Bf16,
            Weights::Winograd(filters) => Algorithm::Winograd(filters.tile()),
        }
    }
}

instantiate! {
    /// Packs weights `[out][in][kernel][kernel]` for inference on maps that are usually `height` pixels high.
    /// Winograd's products are never rounded, in any `mode`: there are fewer of them, and the transforms would amplify
    /// rounding errors.
    ///
    /// # Panics
    /// If the number of weights does not match `shape`.
    pub fn pack<T>(shape: ConvShape, weight: &[T], height: usize, mode: MathMode) -> PackedConv<T> {
        let ConvShape { in_channels, out_channels, window } = shape;
        let weights = match shape.algorithm_in_inference(height, mode) {
            Algorithm::Winograd(tile) => Weights::Winograd(Filters::new(tile, weight, out_channels, in_channels)),
            Algorithm::Bf16 => {
                Weights::Bf16(direct::pack_forward_bf16(weight, out_channels, in_channels, window.kernel))
            }
            Algorithm::Direct => {
                Weights::Direct(direct::pack_forward(weight, out_channels, in_channels, window.kernel))
            }
        };
        PackedConv { shape, weights }
    }

    /// Computes `output[image][y][x][channel]` of a convolution of `input`.
    ///
    /// # Panics
    /// If `input` or `output` do not fit the convolution.
    pub fn forward<T>(conv: &PackedConv<T>, input: &Input<'_, T>, epilogue: &Epilogue<'_, T>, output: &mut [T]) {
        match &conv.weights {
            Weights::Direct(weights) => direct::forward(input, conv.shape.window, weights, epilogue, output),
            Weights::Bf16(weights) => direct::forward_bf16(input, conv.shape.window, weights, epilogue, output),
            Weights::Winograd(filters) => winograd::forward(input, filters, epilogue, output),
        }
    }

    /// Computes the `output` of a convolution of `input` in training, and its batch statistics.
    ///
    /// # Panics
    /// If `weight`, `input` or `output` do not fit `shape`.
    pub fn forward_with_moments<T>(
        shape: ConvShape,
        input: &Input<'_, T>,
        weight: &[T],
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) -> Moments<T> {
        let ConvShape { in_channels, out_channels, window } = shape;
        match shape.algorithm_in_training(input.grid()) {
            Algorithm::Winograd(tile) => {
                let filters = Filters::new(tile, weight, out_channels, in_channels);
                winograd::forward_with_moments(input, &filters, epilogue, output)
            }
            _ => {
                let weights = direct::pack_forward(weight, out_channels, in_channels, window.kernel);
                direct::forward_with_moments(input, window, &weights, epilogue, output)
            }
        }
    }

    /// Recomputes the output of [`forward_with_moments`] for a 1x1 convolution, bitwise the same, without its
    /// statistics: activation checkpointing.
    pub fn recompute_1x1<T>(
        shape: ConvShape,
        input: &Input<'_, T>,
        weight: &[T],
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        let weights = direct::pack_forward(weight, shape.out_channels, shape.in_channels, 1);
        direct::recompute(input, Window::POINT, &weights, epilogue, output);
    }

    /// Propagates the gradient `dy` of a convolution's output back to its input maps, in training: see
    /// [`direct::backward_data`].
    pub fn backward_data<T>(
        shape: ConvShape,
        dy: &[T],
        weight: &[T],
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
    ) -> NormGradient<T> {
        let ConvShape { in_channels, out_channels, window } = shape;
        match shape.algorithm_in_training(reader.pooling.output(reader.maps.grid())) {
            Algorithm::Winograd(tile) => {
                let filters = Filters::rotated(tile, weight, out_channels, in_channels);
                winograd::backward_data(dy, &filters, reader, write, dx)
            }
            _ => {
                let weights = direct::pack_backward(weight, out_channels, in_channels, window.kernel);
                direct::backward_data(dy, window, &weights, reader, write, dx)
            }
        }
    }

    /// The gradient `dw` of a convolution's weights, in training: see [`direct::backward_weights`].
    pub fn backward_weights<T>(shape: ConvShape, input: &Input<'_, T>, dy: &OutputGradient<'_, T>, dw: &mut [T]) {
        match (shape.algorithm_in_training(input.grid()), dy) {
            (Algorithm::Winograd(tile), OutputGradient::Finished { dy, .. }) => {
                winograd::backward_weights(input, tile, dy, dw);
            }
            _ => direct::backward_weights(input, shape.window, dy, dw),
        }
    }

    /// Both gradients of a bottleneck in one sweep: see [`direct::backward_1x1`].
    pub fn backward_1x1<T>(
        output: &Uncorrected<'_, T>,
        weight: &[T],
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
        dw: &mut [T],
    ) -> NormGradient<T> {
        let weights = direct::pack_backward(weight, output.channels(), reader.maps.channels(), 1);
        direct::backward_1x1(output, &weights, reader, write, dx, dw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::{Affine, FeatureMaps, Pooling};
    use crate::simd::Isa;

    /// A convolution of DenseNet-121 at 224x224.
    struct Layer {
        name: &'static str,
        shape: ConvShape,
        /// Rows and columns of its input, before any pooling.
        extent: usize,
        pooling: Pooling,
    }

    const THREE: Window = winograd::WINDOW;

    /// The kinds of convolution in DenseNet-121: the first and the last bottleneck of each block.
    fn layers() -> Vec<Layer> {
        let layer = |name, in_channels, out_channels, window, extent, pooling| {
            let shape = ConvShape { in_channels, out_channels, window };
            Layer { name, shape, extent, pooling }
        };
        let mut layers = Vec::new();
        for (block, (extent, first, last)) in
            [(56, 64, 224), (28, 128, 480), (14, 256, 992), (7, 512, 992)].into_iter().enumerate()
        {
            let names = [["1x1 of block 1", "1x1 of block 2", "1x1 of block 3", "1x1 of block 4"][block]; 2];
            let three = ["3x3 of block 1", "3x3 of block 2", "3x3 of block 3", "3x3 of block 4"][block];
            layers.push(layer(names[0], first, 128, Window::POINT, extent, Pooling::None));
            layers.push(layer(names[1], last, 128, Window::POINT, extent, Pooling::None));
            layers.push(layer(three, 128, 32, THREE, extent, Pooling::None));
            if block < 3 {
                let transition = ["transition 1", "transition 2", "transition 3"][block];
                layers.push(layer(transition, last + 32, (last + 32) / 2, Window::POINT, extent, Pooling::Average2x2));
            }
        }
        layers
    }

    /// Number of pieces into which the forward pass of one picture is cut for this many threads.
    fn pieces(layer: &Layer, threads: usize) -> usize {
        let Layer { shape, extent, pooling, .. } = *layer;
        let grid = Grid { images: 1, height: extent, width: extent };
        let data = vec![0.0; shape.in_channels * grid.pixels()];
        let ones = vec![1.0; shape.in_channels];
        let map_channels = [shape.in_channels];
        let maps = FeatureMaps::new(&data, grid, &map_channels);
        let affine = Affine { scale: &ones, shift: &ones };
        let input = Input::PreActivation { maps, affine, pooling };
        let kernel = shape.window.kernel;
        let weight = vec![0.0; shape.out_channels * shape.in_channels * kernel * kernel];
        let isa = Isa::available().next().expect("the portable set at least");
        isa.thread_pool(threads).expect("some threads").install(|| {
            match pack(shape, &weight, extent, MathMode::Strict).weights {
                Weights::Direct(weights) => direct::forward::pieces(&input, shape.window, &weights),
                Weights::Bf16(_) => unreachable!("nothing is rounded"),
                Weights::Winograd(filters) => winograd::forward::pieces(&input, &filters),
            }
        })
    }

    /// Printed as a table by `cargo test -p densenet-kernels pieces -- --nocapture`.
    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn every_layer_at_batch_1_has_pieces_for_many_threads() {
        const THREADS: [usize; 5] = [1, 2, 4, 8, 16];
        println!("| layer | channels | {} |", THREADS.map(|threads| threads.to_string()).join(" | "));
        for layer in layers() {
            let counts = THREADS.map(|threads| pieces(&layer, threads));
            let ConvShape { in_channels, out_channels, window } = layer.shape;
            println!(
                "| {} | {in_channels} to {out_channels} | {} |",
                layer.name,
                counts.map(|count| count.to_string()).join(" | ")
            );
            assert!(counts[1] >= 2, "{}: two threads have {} pieces", layer.name, counts[1]);
            if window == Window::POINT {
                // The share of the last thread to finish, compared with an even share.
                for (count, threads) in counts.into_iter().zip(THREADS).filter(|&(_, threads)| threads <= 8) {
                    let share = count.div_ceil(threads) as f64 / count as f64;
                    assert!(share * threads as f64 <= 1.25, "{}: {count} pieces for {threads} threads", layer.name);
                }
            }
        }
    }
}

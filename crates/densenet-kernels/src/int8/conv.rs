//! An int8 convolution.

use std::ops::Range;

use super::input::IntegerInput;
use crate::conv::ConvShape;
use crate::gemm::{ColumnBlocks, IntegerGemm, PackedWeights};
use crate::memory::Scratch;
use crate::pack::{Layout, PixelRun, Spacing};
use crate::parallel::{Partition, RowBlock};
use crate::shapes::Affine;
use crate::simd::integer::{Bytes, Integer, IntegerOperation, IntegerSimd, Words};
use crate::simd::strided::MatrixMut;
use crate::simd::{MicroKernel, dispatch_integers};

/// The most terms of a sum: no sum of this many products of bytes overflows.
pub const MOST_TERMS: usize = i32::MAX as usize / (255 * 128);

/// A convolution with its weights packed for this processor.
#[derive(Debug)]
pub struct IntegerConv {
    shape: ConvShape,
    /// How the pixels of its input follow each other.
    spacing: Spacing,
    weights: Weights,
}

/// Weights, packed for one of the precisions.
#[derive(Debug)]
enum Weights {
    Bytes(PackedWeights<Bytes>),
    Words(PackedWeights<Words>),
}

impl IntegerConv {
    /// Its channels and window.
    pub fn shape(&self) -> ConvShape {
        self.shape
    }
}

/// The fastest precision on this processor, and its lanes.
struct Fastest;

impl IntegerOperation for Fastest {
    type Output = (bool, usize);

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) -> (bool, usize) {
        (simd.multiplies_bytes(), S::LANES)
    }
}

/// Packs weights `[out][in][kernel][kernel]` for a convolution of feature maps or activations.
///
/// # Panics
/// If the number of weights does not match `shape`, or there are more than [`MOST_TERMS`] for an output.
pub fn pack(shape: ConvShape, weight: &[i8]) -> IntegerConv {
    pack_spaced(shape, weight, Spacing::Lines)
}

/// Like [`pack`], for a convolution of pictures.
///
/// # Panics
/// Those of [`pack`].
pub fn pack_for_pictures(shape: ConvShape, weight: &[i8]) -> IntegerConv {
    pack_spaced(shape, weight, Spacing::Dense)
}

fn pack_spaced(shape: ConvShape, weight: &[i8], spacing: Spacing) -> IntegerConv {
    let weights = match dispatch_integers(Fastest) {
        (true, lanes) => Weights::Bytes(packed(shape, weight, spacing, lanes)),
        (false, lanes) => Weights::Words(packed(shape, weight, spacing, lanes)),
    };
    IntegerConv { shape, spacing, weights }
}

/// Weights whose K is the channels of each offset, or of each row of the kernel, padded to whole groups.
fn packed<P: Integer>(shape: ConvShape, weight: &[i8], spacing: Spacing, lanes: usize) -> PackedWeights<P> {
    let ConvShape { in_channels, out_channels, window } = shape;
    let offsets = window.kernel * window.kernel;
    assert_eq!(weight.len(), out_channels * in_channels * offsets, "weights of {shape:?}");
    assert!(offsets * in_channels <= MOST_TERMS, "{shape:?} has sums of more than {MOST_TERMS} products");
    // Offsets of a run of K.
    let run = match spacing {
        Spacing::Dense => window.kernel,
        Spacing::Lines => 1,
    };
    let padded = (run * in_channels).next_multiple_of(P::K_GROUP);
    PackedWeights::new(offsets / run * padded, out_channels, lanes, |k, j| {
        let (first, within) = (k / padded * run, k % padded);
        let (offset, channel) = (first + within / in_channels, within % in_channels);
        let inside = within < run * in_channels;
        P::weight(if inside { weight[(j * in_channels + channel) * offsets + offset] } else { 0 })
    })
}

/// Computes `output[image][y][x][channel]`, `round(scale * sum + shift)` from 0 to 255, from a convolution's sums over
/// `input`, with a scale and a shift for each output channel.
///
/// # Panics
/// If `input`, `requantize` or `output` do not fit the convolution, including whether it was packed for pictures.
pub fn forward(conv: &IntegerConv, input: &IntegerInput<'_>, requantize: Affine<'_, f32>, output: &mut [u8]) {
    assert_eq!(input.channels(), conv.shape.in_channels, "channels of the input of {:?}", conv.shape);
    assert_eq!(requantize.scale.len(), conv.shape.out_channels, "scales of {:?}", conv.shape);
    assert_eq!(input.spacing(), conv.spacing, "packed for another input than that of {:?}", conv.shape);
    match &conv.weights {
        Weights::Bytes(weights) => Forward::new(conv, weights, input, requantize).run(output),
        Weights::Words(weights) => Forward::new(conv, weights, input, requantize).run(output),
    }
}

/// A convolution and how it is cut into blocks.
struct Forward<'a, P: Integer> {
    input: IntegerInput<'a>,
    layout: Layout,
    partition: Partition,
    columns: ColumnBlocks<'a, P>,
    weights: &'a PackedWeights<P>,
    requantize: Affine<'a, f32>,
}

impl<'a, P: Integer<Input: Scratch>> Forward<'a, P> {
    fn new(
        &IntegerConv { shape, spacing, .. }: &IntegerConv,
        weights: &'a PackedWeights<P>,
        input: &IntegerInput<'a>,
        requantize: Affine<'a, f32>,
    ) -> Self {
        let input = input.for_window(shape.window);
        let layout = Layout::of_groups::<P>(input.grid(), shape.in_channels, shape.window, spacing);
        // The size of a row block is given in elements of `f32`.
        let row = (layout.row_stride() * size_of::<P::Input>()).div_ceil(size_of::<f32>());
        let partition = Partition::new(shape.window.output(input.grid()), row);
        let (partition, columns) = partition.for_threads(rayon::current_num_threads(), weights.num_panels());
        Self { input, layout, partition, columns: ColumnBlocks::new(weights, columns), weights, requantize }
    }

    /// Computes the whole output.
    fn run(&self, output: &mut [u8])
    where
        for<'b> ForwardBlock<'b, P>: IntegerOperation,
    {
        let n = self.weights.n();
        self.partition.run(MatrixMut::new(output, n, n), &|block, output| {
            self.columns.run(output, &|panels, _, output| {
                P::Input::scratch(self.layout.len(block.rows.len()), |packed| {
                    dispatch_integers(ForwardBlock { forward: self, block: &block, panels, packed, output });
                });
            });
        });
    }
}

/// One row block and column block of a convolution.
struct ForwardBlock<'a, P: Integer> {
    forward: &'a Forward<'a, P>,
    block: &'a RowBlock,
    panels: Range<usize>,
    packed: &'a mut [P::Input],
    output: MatrixMut<'a, u8>,
}

impl<P: Integer> ForwardBlock<'_, P> {
    #[inline(always)]
    fn compute<S: IntegerSimd + MicroKernel<P>>(self, simd: S) {
        let Self { forward, block, panels, packed, mut output } = self;
        let Forward { input, layout, weights, requantize, .. } = forward;
        input.pack::<S, P>(simd, layout, block, packed);
        let ((offsets, count), rows) = (layout.offsets(), block.rows.len());
        let mut start = 0;
        for (panel, b) in weights.panels(panels) {
            let affine = requantize.channels(panel.first..panel.first + panel.n);
            for PixelRun { start: from, first, count: m } in layout.runs(rows, usize::MAX) {
                let (_, c) = output.reborrow().split_rows(first);
                let (_, c) = c.split_columns(start);
                let gemm = IntegerGemm::<P> {
                    a: &packed[from..],
                    lda: layout.output_stride(),
                    offsets: &offsets[..count],
                    k: layout.k,
                    b,
                    m,
                    vectors: panel.vectors,
                    affine,
                };
                gemm.run(simd, c);
            }
            start += panel.n;
        }
    }
}

macro_rules! operation {
    ($($precision:ty),*) => {$(
        impl IntegerOperation for ForwardBlock<'_, $precision> {
            type Output = ();

            #[inline(always)]
            fn run<S: IntegerSimd>(self, simd: S) {
                self.compute(simd);
            }
        }
    )*};
}

operation!(Bytes, Words);

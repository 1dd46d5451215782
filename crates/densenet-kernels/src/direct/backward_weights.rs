//! The gradient of a convolution's weights.

use std::ops::Range;

use super::sums::{pack_panels, transpose};
use crate::batch_norm::Uncorrected;
use crate::gemm::{Beta, Lines, OuterProducts, PrefetchStream, panels};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::{Input, Layout};
use crate::parallel::{MAX_ROWS, Partition, RowBlock, split_k};
use crate::scalar::Scalar;
use crate::shapes::{Window, pixels_of};
use crate::simd::strided::{Matrix, MatrixMut};
use crate::simd::{Dispatch, Operation, Simd};

/// The gradient `dy` of a convolution's output, `[image][y][x][channel]`.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a, T> {
    /// The complete gradient.
    Finished {
        /// The gradient.
        dy: &'a [T],
        /// Its channels.
        channels: usize,
    },
    /// Without the correction of the batch-norm that reads the output, which is applied during packing.
    Uncorrected(Uncorrected<'a, T>),
}

impl<T: Scalar> OutputGradient<'_, T> {
    fn channels(&self) -> usize {
        match self {
            Self::Finished { channels, .. } => *channels,
            Self::Uncorrected(output) => output.channels(),
        }
    }

    /// Elements of the gradient.
    fn len(&self) -> usize {
        match self {
            Self::Finished { dy, .. } => dy.len(),
            Self::Uncorrected(output) => output.g.len(),
        }
    }

    /// Packs `pixels` into `panels`, through `rows` if they must be corrected.
    #[inline(always)]
    fn pack<S: Simd<T = T>>(&self, simd: S, pixels: Range<usize>, rows: &mut [T], panels: &mut [T]) {
        let ld = self.channels();
        let elements = pixels.start * ld..pixels.end * ld;
        match self {
            Self::Finished { dy, .. } => pack_panels(simd, Matrix { data: &dy[elements], ld }, ld, panels),
            Self::Uncorrected(output) => {
                let rows = &mut rows[..elements.len()];
                output.finish(simd, pixels, rows, ld);
                pack_panels(simd, Matrix { data: rows, ld }, ld, panels);
            }
        }
    }

    /// Elements of the intermediate rows for packing this many pixels.
    fn rows(&self, pixels: usize) -> usize {
        match self {
            Self::Finished { .. } => 0,
            Self::Uncorrected(output) => pixels * output.channels(),
        }
    }

    /// The elements that are read to pack `pixels`; pixels past the end are left out.
    fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let (dy, map) = match self {
            Self::Finished { dy, .. } => (*dy, None),
            Self::Uncorrected(output) => (output.g, Some(output.map)),
        };
        std::iter::once(dy).chain(map).map(move |map| pixels_of(map, self.channels(), &pixels))
    }
}

instantiate! {
    /// Computes the gradient `dw` of convolution weights, `[out][in][kernel][kernel]`, from the gradient `dy` of the
    /// output. The pre-activation is not kept, but recomputed as the input is packed.
    ///
    /// # Panics
    /// If the gradients do not fit `input` and `window`.
    pub fn backward_weights<T>(input: &Input<'_, T>, window: Window, dy: &OutputGradient<'_, T>, dw: &mut [T]) {
        let input = &input.for_window(window);
        let (layout, grid) = (input.layout(window), window.output(input.grid()));
        let offsets = window.kernel * window.kernel;
        let (rows, out) = (offsets * input.channels(), dy.channels());
        assert_eq!(dy.len(), out * grid.pixels(), "output gradient of {grid:?}");
        assert_eq!(dw.len(), out * rows, "gradient of {out} by {rows} weights");
        let cut = if window == Window::POINT { Partition::new } else { Partition::low };
        let partition = cut(grid, layout.row_stride());
        let padded = out.next_multiple_of(T::lanes());
        let backward = BackwardWeights { input, layout, partition, dy, out, padded };
        let mut blocks: Vec<RowBlock> = (0..partition.len()).map(|i| partition.get(i)).collect();
        let add = |blocks: &mut [RowBlock], sums: &mut [T]| backward.add(blocks, sums);
        split_k(&mut blocks, grid.pixels(), rows * padded, add, |sums| {
            transpose(Matrix { data: sums, ld: padded }, input.channels(), offsets, dw);
        });
    }
}

/// A weight gradient, before it is cut into row blocks.
struct BackwardWeights<'a, T> {
    input: &'a Input<'a, T>,
    layout: Layout,
    partition: Partition,
    dy: &'a OutputGradient<'a, T>,
    /// Output channels.
    out: usize,
    /// Output channels including those that fill up the last vector.
    padded: usize,
}

impl<T: Dispatch + Scratch> BackwardWeights<'_, T> {
    /// Writes the sums over `blocks` to `sums`.
    fn add(&self, blocks: &[RowBlock], sums: &mut [T]) {
        for (i, block) in blocks.iter().enumerate() {
            let beta = if i == 0 { Beta::Zero } else { Beta::One };
            let pixels = self.partition.pixels(block).len();
            let lengths = [pixels * self.padded, self.dy.rows(pixels), self.layout.len(block.rows.len())];
            T::scratch(lengths.iter().sum(), |mut memory| {
                let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
                T::dispatch(BackwardWeightsBlock { backward: self, block, beta, arrays, sums });
            });
        }
    }
}

/// The part of a weight gradient that sums over one row block, `[row of weights][padded output channel]`.
struct BackwardWeightsBlock<'a, T> {
    backward: &'a BackwardWeights<'a, T>,
    block: &'a RowBlock,
    beta: Beta<'a, T>,
    /// Packed data: the output's gradient in panels, and its intermediate rows; the input.
    arrays: [&'a mut [T]; 3],
    sums: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for BackwardWeightsBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { backward, block, beta, arrays: [dy_panels, dy_rows, packed], sums } = self;
        let BackwardWeights { input, layout, partition, dy, out, padded } = backward;
        input.pack(simd, layout, block, packed);
        let pixels = partition.pixels(block);
        dy.pack(simd, pixels.clone(), dy_rows, dy_panels);
        let ((offsets, count), mut starts) = (layout.offsets(), [0; MAX_ROWS]);
        let next_pixels = partition.next_pixels(block);
        let mut next = input.runs(next_pixels.clone()).chain(dy.runs(next_pixels));
        let mut stream = PrefetchStream::new(&mut next);
        let (starts, len) = layout.lines(block.rows.len(), &mut starts);
        let (lines, mut dy_panels) = (Lines { starts, stride: layout.output_stride(), len }, &*dy_panels);
        for panel in panels(*out, S::LANES) {
            let (b, next) = dy_panels.split_at(pixels.len() * panel.width);
            dy_panels = next;
            for (o, &offset) in offsets[..count].iter().enumerate() {
                let products = OuterProducts { a: &packed[offset..], pixels: lines, b, vectors: panel.vectors };
                let sums = &mut sums[o * layout.k * padded..][..layout.k * padded];
                let (_, sums) = MatrixMut::new(sums, *padded, *padded).split_columns(panel.first);
                products.run(simd, beta, sums, &mut stream);
            }
        }
    }
}

//! The forward pass of a convolution.

use std::ops::Range;

use super::weights::pixels_by_channels;
use crate::batch_norm::{Moments, run_with_moments};
use crate::epilogue::Epilogue;
use crate::gemm::{Brgemm, ColumnBlocks, PackedWeights, PrefetchStream};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::{Input, Layout, PackedFactors, PixelRun};
use crate::parallel::{Partition, RowBlock};
use crate::scalar::{Bf16, Precision};
use crate::shapes::{Grid, Window};
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Operation, Simd};

instantiate! {
    /// Computes `output[image][y][x][channel]` of a convolution of `input`.
    ///
    /// # Panics
    /// If `weights` or `output` do not fit `input` and `window`.
    pub fn forward<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &PackedWeights<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        Forward::new(input, window, weights, epilogue).for_threads().run_all(output);
    }

    /// [`forward`] with input and weights rounded to bfloat16, whose products are accumulated in `T`.
    pub fn forward_bf16<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &PackedWeights<Bf16<T>>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        Forward::new(input, window, weights, epilogue).for_threads().run_all(output);
    }

    /// [`forward`], and the batch statistics of the output: computed once for all readers, while it is in the cache.
    pub fn forward_with_moments<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &PackedWeights<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = Forward { prefetch: true, ..Forward::new(input, window, weights, epilogue) };
        let output = MatrixMut::new(output, weights.n(), weights.n());
        run_with_moments(&forward.partition, output, &|block, output| forward.run_row_block(&block, output))
    }

    /// Recomputes the output of [`forward_with_moments`], without its statistics: activation checkpointing.
    pub fn recompute<T>(
        input: &Input<'_, T>,
        window: Window,
        weights: &PackedWeights<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) {
        Forward { prefetch: true, ..Forward::new(input, window, weights, epilogue) }.run_all(output);
    }
}

/// A forward convolution and how it is cut into blocks.
struct Forward<'a, P: Precision> {
    input: Input<'a, P::Accumulator>,
    layout: Layout,
    partition: Partition,
    columns: ColumnBlocks<'a, P>,
    weights: &'a PackedWeights<P>,
    epilogue: &'a Epilogue<'a, P::Accumulator>,
    grid: Grid,
    /// Whether products prefetch their output and the input of the next row block: in training, where a batch's maps
    /// are not in the cache. In inference they are, and prefetching them costs time.
    prefetch: bool,
}

impl<'a, T: Dispatch + Scratch, P: PackedFactors<Accumulator = T>> Forward<'a, P> {
    /// A convolution whose sums over pixels, if it has any, are computed row block by row block.
    fn new(input: &Input<'a, T>, window: Window, weights: &'a PackedWeights<P>, epilogue: &'a Epilogue<'a, T>) -> Self {
        let grid = window.output(input.grid());
        let input = input.for_window(window);
        let layout = input.layout(window);
        let k = window.kernel * window.kernel * input.channels();
        assert_eq!(weights.k(), k, "weights for {window:?} over {} channels", input.channels());
        let partition = Partition::new(window.output(input.grid()), layout.row_stride());
        let columns = ColumnBlocks::new(weights, 1);
        Self { input, layout, partition, columns, weights, epilogue, grid, prefetch: false }
    }

    /// The same, cut for as many threads as there are.
    fn for_threads(self) -> Self {
        // Dropout works on whole pixels.
        let most = if self.epilogue.dropout.is_some() { 1 } else { self.weights.num_panels() };
        let (partition, columns) = self.partition.for_threads(rayon::current_num_threads(), most);
        Self { partition, columns: ColumnBlocks::new(self.weights, columns), ..self }
    }

    /// Computes the whole output.
    fn run_all(&self, output: &mut [T]) {
        let n = self.weights.n();
        self.partition.run(MatrixMut::new(output, n, n), &|block, output| self.run_row_block(&block, output));
    }

    /// Computes one row block of the output.
    fn run_row_block(&self, block: &RowBlock, output: MatrixMut<'_, T>) {
        self.columns.run(output, &|panels, columns, mut output| {
            T::scratch(P::memory(self.layout.len(block.rows.len())), |memory| {
                let output = output.reborrow();
                T::dispatch(ForwardBlock { forward: self, block, panels, memory, output });
            });
            let first = self.partition.pixels(block).start;
            self.epilogue.finish(output, columns, self.weights.n(), self.grid, first);
        });
    }
}

/// The sums of one row block and column block of a forward convolution.
struct ForwardBlock<'a, P: Precision> {
    forward: &'a Forward<'a, P>,
    block: &'a RowBlock,
    panels: Range<usize>,
    /// Memory for the packed input.
    memory: &'a mut [P::Accumulator],
    output: MatrixMut<'a, P::Accumulator>,
}

impl<T: Dispatch + Scratch, P: PackedFactors<Accumulator = T>> Operation<T> for ForwardBlock<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { forward, block, panels, memory, mut output } = self;
        let Forward { input, layout, partition, weights, epilogue, prefetch, .. } = forward;
        let packed = P::pack(simd, input, layout, block, memory);
        let mut next = prefetch.then(|| input.runs(partition.next_pixels(block))).into_iter().flatten();
        let mut stream = PrefetchStream::new(&mut next);
        let ((offsets, count), rows) = (layout.offsets(), block.rows.len());
        let mut start = 0;
        for (panel, b) in weights.panels(panels) {
            for PixelRun { start: from, first, count: m } in layout.runs(rows, usize::MAX) {
                let gemm = Brgemm::<P> {
                    lower_clamp: epilogue.lower_clamp(),
                    prefetch_c: *prefetch,
                    ..pixels_by_channels::<P>(&packed[from..], layout, m, &offsets[..count], &panel, b)
                };
                let (_, c) = output.reborrow().split_rows(first);
                let (_, c) = c.split_columns(start);
                gemm.run(simd, epilogue.beta(&panel), c, &mut stream);
            }
            start += panel.n;
        }
    }
}

/// Number of pieces into which [`forward`] is cut on the current pool.
#[cfg(test)]
pub(crate) fn pieces(input: &Input<'_, f32>, window: Window, weights: &PackedWeights<f32>) -> usize {
    let epilogue = Epilogue::default();
    let forward = Forward::new(input, window, weights, &epilogue).for_threads();
    forward.partition.len() * forward.columns.len()
}

//! The forward pass of the convolution.

use std::ops::Range;

use super::Filters;
use super::from_points::inverse_transform;
use super::points::{Extents, GAP, PointsMut, multiply, tile_stride};
use super::tile_size::TileOperation;
use super::tiling::Tiling;
use super::to_points::{Memory, Source, transform_block, with_memory};
use super::transform::{Inputs, Transform};
use crate::batch_norm::{Moments, run_with_moments};
use crate::epilogue::Epilogue;
use crate::gemm::{ColumnBlocks, PrefetchStream};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::Input;
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Precision;
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Simd};

instantiate! {
    /// Computes `output[image][y][x][channel]` of a 3x3 convolution with stride 1 and padding 1.
    ///
    /// # Panics
    /// If `input` is neither raw nor a pre-activation without pooling, or `filters` or `output` do not fit it.
    pub fn forward<T>(input: &Input<'_, T>, filters: &Filters<T>, epilogue: &Epilogue<'_, T>, output: &mut [T]) {
        let (forward, n) = (Forward::new(input, filters, epilogue).for_threads(), filters.out_channels());
        forward.partition.run(MatrixMut::new(output, n, n), &|block, output| forward.run_row_block(&block, output));
    }

    /// [`forward`], and the batch statistics of its output.
    pub fn forward_with_moments<T>(
        input: &Input<'_, T>,
        filters: &Filters<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = Forward { prefetch: true, ..Forward::new(input, filters, epilogue) };
        let output = MatrixMut::new(output, filters.out_channels(), filters.out_channels());
        run_with_moments(&forward.partition, output, &|block, output| forward.run_row_block(&block, output))
    }
}

/// A convolution and how it is cut into blocks.
struct Forward<'a, T: Precision> {
    source: Source<'a, T>,
    filters: &'a Filters<T>,
    epilogue: &'a Epilogue<'a, T>,
    tiling: Tiling,
    partition: Partition,
    columns: ColumnBlocks<'a, T>,
    /// Elements from one tile to the next at a point: of the transformed input, of the products.
    strides: [usize; 2],
    /// Whether products prefetch the input of the next row block: in training, where a batch's maps are not in the
    /// cache. In inference they are, and prefetching them costs time.
    prefetch: bool,
}

impl<'a, T: Dispatch + Scratch> Forward<'a, T> {
    /// A convolution whose sums over pixels, if it has any, are computed row block by row block.
    fn new(input: &'a Input<'a, T>, filters: &'a Filters<T>, epilogue: &'a Epilogue<'a, T>) -> Self {
        assert_eq!(filters.in_channels(), input.channels(), "channels of {:?}", input.grid());
        let tiling = Tiling { grid: input.grid(), outputs: filters.tile().outputs() };
        let strides = [tile_stride::<T>(filters.in_channels()), filters.out_channels().next_multiple_of(T::lanes())];
        let partition = tiling.partition(strides[0]);
        let columns = ColumnBlocks::new(filters.packed(), 1);
        Self { source: Source::new(input), filters, epilogue, tiling, partition, columns, strides, prefetch: false }
    }

    /// The same, cut for as many threads as there are.
    fn for_threads(self) -> Self {
        // Dropout works on whole pixels.
        let most = if self.epilogue.dropout.is_some() { 1 } else { self.filters.packed().num_panels() };
        let (partition, columns) = self.partition.for_threads(rayon::current_num_threads(), most);
        Self { partition, columns: ColumnBlocks::new(self.filters.packed(), columns), ..self }
    }

    /// Computes one row block of the output.
    fn run_row_block(&self, block: &RowBlock, output: MatrixMut<'_, T>) {
        let Self { filters, tiling, .. } = self;
        let tiles = tiling.rows(block).len() * tiling.across();
        let lengths = self.strides.map(|stride| tiling.points() * (tiles * stride + GAP));
        self.columns.run(output, &|panels, channels, mut output| {
            with_memory(filters.in_channels(), lengths, |memory, [transformed, products]| {
                let point = |stride: usize| tiles * stride + GAP;
                let [tile, product_tile] = self.strides;
                let transformed = PointsMut { data: transformed, tile, point: point(tile) };
                let products = PointsMut { data: products, tile: product_tile, point: point(product_tile) };
                let (panels, channels, output) = (panels.clone(), channels.clone(), output.reborrow());
                let block =
                    ForwardBlock { forward: self, block, panels, channels, memory, transformed, products, output };
                filters.tile().dispatch(block);
            });
            let first = self.partition.pixels(block).start;
            self.epilogue.finish(output, channels, filters.out_channels(), tiling.grid, first);
        });
    }
}

/// One row block and column block of the output, and its working memory: the tiles at the points, `[point][tile][input
/// channel]`, and their products, `[point][tile][output channel]`.
struct ForwardBlock<'a, T: Precision> {
    forward: &'a Forward<'a, T>,
    block: &'a RowBlock,
    panels: Range<usize>,
    channels: Range<usize>,
    memory: Memory<'a, T>,
    transformed: PointsMut<'a, T>,
    products: PointsMut<'a, T>,
    output: MatrixMut<'a, T>,
}

impl<T: Dispatch + Scratch> TileOperation<T> for ForwardBlock<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { forward, block, panels, channels, mut memory, mut transformed, mut products, output } = self;
        let Forward { source, filters, epilogue, tiling, partition, prefetch, .. } = forward;
        let (rows, points) = (tiling.rows(block), A::INPUTS * A::INPUTS);
        transform_block::<S, Inputs<A>>(simd, source, tiling, block, &mut memory, transformed.from(0));
        let runs = || source.maps.runs(partition.next_pixels(block), 0..filters.in_channels());
        let mut next = prefetch.then(runs).into_iter().flatten();
        let mut stream = PrefetchStream::new(&mut next);
        for (panel, b) in filters.packed().panels(panels) {
            let extents = Extents { points, tiles: rows.len() * tiling.across(), channels: filters.in_channels() };
            let products = products.from(panel.first - channels.start);
            multiply(simd, extents, transformed.read(), panel, b, products, &mut stream);
        }
        inverse_transform::<S, A>(simd, tiling, rows, products.read(), epilogue, channels, output);
    }
}

/// Number of pieces into which [`forward`] is cut on the current pool.
#[cfg(test)]
pub(crate) fn pieces(input: &Input<'_, f32>, filters: &Filters<f32>) -> usize {
    let epilogue = Epilogue::default();
    let forward = Forward::new(input, filters, &epilogue).for_threads();
    forward.partition.len() * forward.columns.len()
}

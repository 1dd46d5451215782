//! The gradient of a convolution's input.

use super::weights::pixels_by_channels;
use crate::batch_norm::backward::{MapNorm, MapNorms, Places, Tile, run_maps};
use crate::batch_norm::{NormGradient, Normalised, Write};
use crate::gemm::{Beta, Brgemm, MAX_VECTORS, PackedWeights, Panel, PrefetchStream};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::{Input, Layout, PixelRun};
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Precision;
use crate::shapes::{Grid, Pooling, Window};
use crate::simd::strided::{Matrix, MatrixMut};
use crate::simd::{Dispatch, Operation, Simd};

instantiate! {
    /// Propagates the gradient `dy` of a convolution's output back to its input maps: with `dz` the gradient after
    /// batch-norm, masked by ReLU, `gamma * dz` is written to `dx`, and the sums of `dz` and `dz * xh` are returned.
    /// Batch-norm's correction is linear, so it waits until all readers of a map have added theirs:
    /// [`crate::batch_norm::finish`].
    ///
    /// `dy` is `[image][y][x][channel]`, `window` the forward one (with stride 1), `weights` those of
    /// [`super::pack_backward`]. `dx` is laid out like the maps.
    pub fn backward_data<T>(
        dy: &[T],
        window: Window,
        weights: &PackedWeights<T>,
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
    ) -> NormGradient<T> {
        assert_eq!(window.stride, 1, "no DenseNet needs the data gradient of a strided convolution");
        assert_eq!(weights.n(), reader.maps.channels(), "weights for the maps");
        let pooled = reader.pooling == Pooling::Average2x2;
        let column = window == Window::POINT && !pooled;
        let grid = if column { reader.maps.grid().flattened() } else { reader.maps.grid() };
        let channels = weights.k() / (window.kernel * window.kernel);
        let input = Input::Raw { data: dy, grid: window.output(reader.pooling.output(grid)), channels };
        let layout = input.layout(Window { padding: window.kernel - 1 - window.padding, ..window });
        let rows = if pooled { Partition::pairs } else { Partition::new };
        let partition = rows(grid, layout.row_stride());
        let norms = MapNorm::all(reader, true);
        let backward = BackwardData { input, layout, partition, weights, pooled, norms: &norms, write, grid };
        run_maps(&partition, dx, reader.maps.map_channels(), &|block, dx, sums| {
            T::scratch(layout.len(block.rows.len()) + tile_len::<T>(), |memory| {
                T::dispatch(BackwardDataBlock { backward: &backward, block: &block, dx, sums, memory });
            });
        })
    }
}

/// Pixels of a panel's products that are propagated back to the maps at a time: whole micro-tiles of every instruction
/// set, and enough that the work done once for all of them counts little.
const PIXELS: usize = 42;

/// Elements of the products that are propagated back at a time.
pub(super) fn tile_len<T: Dispatch>() -> usize {
    PIXELS * MAX_VECTORS * T::lanes()
}

/// A data gradient, before it is cut into row blocks.
struct BackwardData<'a, T: Precision> {
    input: Input<'a, T>,
    layout: Layout,
    partition: Partition,
    weights: &'a PackedWeights<T>,
    pooled: bool,
    norms: &'a [MapNorm<'a, T>],
    write: Write,
    grid: Grid,
}

/// The part of a data gradient that goes to one row block of all feature maps.
struct BackwardDataBlock<'a, 'b, T: Precision> {
    backward: &'a BackwardData<'a, T>,
    block: &'a RowBlock,
    dx: &'a mut [&'b mut [T]],
    sums: &'a mut [T],
    memory: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for BackwardDataBlock<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { backward, block, dx, sums, memory } = self;
        let BackwardData { input, layout, partition, weights, pooled, norms, write, grid } = backward;
        let rows = if *pooled { block.rows.start / 2..block.rows.end / 2 } else { block.rows.clone() };
        let pooled_block = RowBlock { rows, ..*block };
        let mut write = *write;
        let outside = grid.width % 2 == 1 || block.rows.len() % 2 == 1;
        if *pooled && outside && write == Write::Overwrite {
            // Pixels of an odd last row or column are not in any window.
            dx.iter_mut().for_each(|dx| dx.fill(T::zero()));
            write = Write::Accumulate;
        }
        let pixels = partition.pixels(block);
        let (packed, tile) = memory.split_at_mut(layout.len(pooled_block.rows.len()));
        input.pack(simd, layout, &pooled_block, packed);
        let mut maps = MapNorms { norms, first: pixels.start, write, dx, sums };
        let dy = PackedDy { packed, layout, rows: pooled_block.rows.len(), width: grid.width };
        let mut nothing = std::iter::empty();
        let mut stream = PrefetchStream::new(&mut nothing);
        for (panel, b) in weights.iter() {
            match pooled {
                true => dy.backward_panel::<S, 4>(simd, panel, b, &mut maps, tile, &mut stream),
                false => dy.backward_panel::<S, 1>(simd, panel, b, &mut maps, tile, &mut stream),
            }
        }
    }
}

/// The packed gradient of some rows of a convolution's output.
pub(super) struct PackedDy<'a, T> {
    pub packed: &'a [T],
    pub layout: &'a Layout,
    /// Rows of the output.
    pub rows: usize,
    /// Pixels in a row of the maps.
    pub width: usize,
}

impl<T: Dispatch> PackedDy<'_, T> {
    /// Propagates it back to the channels of a panel of weights, using `tile` as working memory; `N` pixels of the maps
    /// were averaged into one pixel of the convolution's input.
    #[inline(always)]
    pub fn backward_panel<S: Simd<T = T>, const N: usize>(
        &self,
        simd: S,
        panel: Panel,
        b: &[T],
        maps: &mut MapNorms<'_, '_, T>,
        tile: &mut [T],
        stream: &mut PrefetchStream<'_, '_, T>,
    ) {
        let (layout, (offsets, count)) = (self.layout, self.layout.offsets());
        let channels = panel.first..panel.first + panel.n;
        let holding = maps.holding(&channels);
        for PixelRun { start, first, count: pixels } in layout.runs(self.rows, PIXELS) {
            let gemm = pixels_by_channels::<T>(&self.packed[start..], layout, pixels, &offsets[..count], &panel, b);
            let whole = Brgemm { n: panel.width, ..gemm };
            whole.run(simd, Beta::Zero, MatrixMut::new(tile, panel.width, panel.width), stream);
            let dy = Matrix { data: tile, ld: panel.width };
            let places = Places { first, outputs: layout.outputs, width: self.width };
            let tile = Tile { dy, channels: channels.clone(), pixels, places };
            maps.backward::<S, N>(simd, holding.clone(), &tile);
        }
    }
}

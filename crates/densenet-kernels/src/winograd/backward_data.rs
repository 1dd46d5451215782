//! The gradient of the convolution's input: the convolution of the output's gradient with the filters rotated by half a
//! turn, computed at the points as in the forward pass, followed by batch-norm's part of
//! [`crate::direct::backward_data`].

use super::Filters;
use super::from_points::inverse_transform;
use super::points::{Extents, GAP, PointsMut, multiply, tile_stride};
use super::tile_size::TileOperation;
use super::tiling::Tiling;
use super::to_points::{Memory, Source, transform_block, with_memory};
use super::transform::{Inputs, Transform};
use crate::batch_norm::backward::{MapNorm, MapNorms, Places, Tile, run_maps};
use crate::batch_norm::{NormGradient, Normalised, Write};
use crate::epilogue::Epilogue;
use crate::gemm::PrefetchStream;
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::parallel::{Partition, RowBlock};
use crate::scalar::Precision;
use crate::shapes::Pooling;
use crate::simd::strided::{Matrix, MatrixMut};
use crate::simd::{Dispatch, Simd};

instantiate! {
    /// Does the same as [`crate::direct::backward_data`], with `filters` from [`Filters::rotated`].
    pub fn backward_data<T>(
        dy: &[T],
        filters: &Filters<T>,
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
    ) -> NormGradient<T> {
        assert_eq!(filters.out_channels(), reader.maps.channels(), "filters for the maps");
        assert_eq!(reader.pooling, Pooling::None, "a 3x3 convolution reads maps that are not pooled");
        let tiling = Tiling { grid: reader.maps.grid(), outputs: filters.tile().outputs() };
        let (out, stride) = (filters.in_channels(), tile_stride::<T>(filters.in_channels()));
        let partition = tiling.partition(stride);
        let norms = MapNorm::all(reader, true);
        let source = Source::raw(dy, tiling.grid, &out);
        let backward = BackwardData { source, filters, tiling, partition, stride, reader, norms: &norms, write };
        run_maps(&partition, dx, reader.maps.map_channels(), &|block, dx, sums| backward.run(&block, dx, sums))
    }
}

/// A data gradient, before it is cut into row blocks.
struct BackwardData<'a, T: Precision> {
    source: Source<'a, T>,
    filters: &'a Filters<T>,
    tiling: Tiling,
    partition: Partition,
    /// Elements from one tile to the next at a point of the transformed gradient.
    stride: usize,
    reader: &'a Normalised<'a, T>,
    norms: &'a [MapNorm<'a, T>],
    write: Write,
}

impl<T: Dispatch + Scratch> BackwardData<'_, T> {
    /// What is read after the gradient of `block`: its maps, and the next block's gradient.
    fn next_runs(&self, block: &RowBlock) -> impl Iterator<Item = &[T]> {
        let Self { source, reader, partition, .. } = self;
        let maps = reader.maps.runs(partition.pixels(block), 0..reader.maps.channels());
        maps.chain(source.maps.runs(partition.next_pixels(block), 0..1))
    }

    /// The part of one row block.
    fn run(&self, block: &RowBlock, dx: &mut [&mut [T]], sums: &mut [T]) {
        let Self { filters, tiling, .. } = self;
        let width = filters.packed().iter().map(|(panel, _)| panel.width).max().expect("a filter");
        let tiles = tiling.rows(block).len() * tiling.across();
        let point = |stride: usize| tiles * stride + GAP;
        let pixels = self.partition.pixels(block);
        let lengths = [tiling.points() * point(self.stride), tiling.points() * point(width), pixels.len() * width];
        let maps = MapNorms { norms: self.norms, first: pixels.start, write: self.write, dx, sums };
        with_memory(filters.in_channels(), lengths, |memory, [transformed, products, dz]| {
            let transformed = PointsMut { data: transformed, tile: self.stride, point: point(self.stride) };
            let block = BackwardDataBlock { backward: self, block, memory, transformed, products, dz, maps };
            filters.tile().dispatch(block);
        });
    }
}

/// One row block of all maps, and its working memory: the tiles at the points, `[point][tile][channel of the output]`,
/// a panel's products, `[point][tile][channel]`, and the resulting gradient after the ReLU, `[pixel][channel]`.
struct BackwardDataBlock<'a, 'b, T: Precision> {
    backward: &'a BackwardData<'a, T>,
    block: &'a RowBlock,
    memory: Memory<'a, T>,
    transformed: PointsMut<'a, T>,
    products: &'a mut [T],
    dz: &'a mut [T],
    maps: MapNorms<'a, 'b, T>,
}

impl<T: Dispatch + Scratch> TileOperation<T> for BackwardDataBlock<'_, '_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { backward, block, mut memory, mut transformed, products, dz, mut maps } = self;
        let BackwardData { source, filters, tiling, partition, .. } = backward;
        let (rows, points, width) = (tiling.rows(block), A::INPUTS * A::INPUTS, tiling.grid.width);
        let (tiles, pixels) = (rows.len() * tiling.across(), partition.pixels(block).len());
        transform_block::<S, Inputs<A>>(simd, source, tiling, block, &mut memory, transformed.from(0));
        let mut next = backward.next_runs(block);
        let mut stream = PrefetchStream::new(&mut next);
        let point = products.len() / points;
        let extents = Extents { points, tiles, channels: filters.in_channels() };
        let epilogue = Epilogue::default();
        for (panel, b) in filters.packed().iter() {
            let mut products = PointsMut { data: &mut *products, tile: panel.width, point };
            multiply(simd, extents, transformed.read(), panel, b, products.from(0), &mut stream);
            let to = MatrixMut::new(&mut dz[..pixels * panel.width], panel.width, panel.width);
            inverse_transform::<S, A>(simd, tiling, rows.clone(), products.read(), &epilogue, 0..panel.width, to);
            let channels = panel.first..panel.first + panel.n;
            let (holding, places) = (maps.holding(&channels), Places { first: 0, outputs: width, width });
            let dy = Matrix { data: &*dz, ld: panel.width };
            maps.backward::<S, 1>(simd, holding, &Tile { dy, channels, pixels, places });
        }
    }
}

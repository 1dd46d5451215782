//! Both gradients of a bottleneck, a 1x1 convolution, in one sweep: with respect to its input maps and to its weights.
//!
//! Most of a training step's memory traffic is the maps of a block, which every later layer reads. Here they are
//! brought into the cache once for both gradients: the pre-activation of some channels of a run of pixels is recomputed
//! and multiplied by the gradient of the output, for the weights; then that gradient is multiplied by the weights and
//! propagated back to the maps, using the same values. The correction of the output's own batch-norm is applied as its
//! gradient is packed.

use std::ops::Range;

use super::backward_data::{PackedDy, tile_len};
use super::sums::{pack_panels, transpose};
use crate::batch_norm::backward::{BlockMaps, MapNorm, MapNorms, sum_maps};
use crate::batch_norm::{NormGradient, Normalised, Uncorrected, Write};
use crate::gemm::{Beta, Lines, OuterProducts, PackedWeights, Panel, PrefetchStream, panels};
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::{Input, Layout, pack_pre_activation, pixel_stride};
use crate::parallel::{Partition, split_k};
use crate::shapes::Window;
use crate::simd::strided::{Matrix, MatrixMut};
use crate::simd::{Dispatch, Operation, Simd};

/// Most pixels of a row block per unit of cache: enough that the weights' sums are seldom loaded and stored.
const PIXELS: usize = 126;

/// Approximate number of channels of a row block that are processed at a time, per unit of cache, so that they stay
/// there together with their gradient, weights and sums.
const CHANNELS: usize = 112;

instantiate! {
    /// Propagates the gradient of a bottleneck's `output` back: writes `dx` and returns sums like
    /// [`super::backward_data`], and writes `dw`, `[out][in]`, like [`super::backward_weights`]. `weights` are those of
    /// [`super::pack_backward`].
    ///
    /// # Panics
    /// If `output`, `weights`, `reader` and the gradients do not fit each other.
    pub fn backward_1x1<T>(
        output: &Uncorrected<'_, T>,
        weights: &PackedWeights<T>,
        reader: &Normalised<'_, T>,
        write: Write,
        dx: &mut [T],
        dw: &mut [T],
    ) -> NormGradient<T> {
        let (grid, channels, out) = (reader.maps.grid().flattened(), reader.maps.channels(), output.channels());
        assert_eq!((weights.k(), weights.n()), (out, channels), "weights for the maps");
        assert_eq!(dw.len(), out * channels, "gradient of {out} by {channels} weights");
        let layout = Input::Raw { data: output.g, grid, channels: out }.layout(Window::POINT);
        let partition = Partition::of_pixels(grid, PIXELS * T::cache());
        let (panels, norms): (Vec<_>, _) = (weights.iter().collect(), MapNorm::all(reader, true));
        let at_a_time = (CHANNELS * T::cache() / (2 * T::lanes())).max(1);
        let groups: Vec<_> = panels.chunks(at_a_time).collect();
        let widest = groups.iter().map(|group| channels_of(group).len()).max().expect("weights have columns");
        let padded = out.next_multiple_of(T::lanes());
        let pixel = pixel_stride(widest);
        let sweep = Sweep { output, layout, partition, groups, reader, norms: &norms, write, padded, pixel };
        sum_maps(&partition, dx, reader.maps.map_channels(), |mut parts| {
            let add = |parts: &mut [BlockMaps<'_, T>], sums: &mut [T]| sweep.add(parts, sums);
            split_k(&mut parts, grid.pixels(), channels * padded, add, |sums| {
                transpose(Matrix { data: sums, ld: padded }, channels, 1, dw);
            });
        })
    }
}

/// Channels of neighbouring panels.
fn channels_of<T>(group: &[(Panel, &[T])]) -> Range<usize> {
    let (first, last) = (group[0].0, group[group.len() - 1].0);
    first.first..last.first + last.n
}

/// The two gradients, before they are cut into row blocks.
struct Sweep<'a, T> {
    output: &'a Uncorrected<'a, T>,
    /// Of the output's gradient.
    layout: Layout,
    partition: Partition,
    /// Panels of weights, grouped into those whose channels are processed together.
    groups: Vec<&'a [(Panel, &'a [T])]>,
    reader: &'a Normalised<'a, T>,
    norms: &'a [MapNorm<'a, T>],
    write: Write,
    /// Output channels including those that fill up the last vector.
    padded: usize,
    /// Elements from one packed pixel of the maps to the next.
    pixel: usize,
}

impl<T: Dispatch + Scratch> Sweep<'_, T> {
    /// The elements that are packed after group number `group` of `pixels`: those of the next group, or of the first
    /// group and the output's gradient for the next as many pixels.
    fn next_runs(&self, group: usize, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let last = group + 1 == self.groups.len();
        let (group, pixels) = match last {
            false => (self.groups[group + 1], pixels),
            true => (self.groups[0], pixels.end..pixels.end + pixels.len()),
        };
        let output = last.then(|| self.output.runs(pixels.clone())).into_iter().flatten();
        output.chain(self.reader.maps.runs(pixels, channels_of(group)))
    }

    /// Propagates row blocks back to the maps, and writes their sums for the weights to `dw`, `[channel][padded output
    /// channel]`.
    fn add(&self, parts: &mut [BlockMaps<'_, T>], dw: &mut [T]) {
        for (i, BlockMaps { block, maps, sums }) in parts.iter_mut().enumerate() {
            let beta = if i == 0 { Beta::Zero } else { Beta::One };
            let pixels = self.partition.pixels(block);
            let count = pixels.len();
            let lengths = [self.layout.len(count), count * self.padded, count * self.pixel, tile_len::<T>()];
            T::scratch(lengths.iter().sum(), |mut memory| {
                let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
                let maps = MapNorms { norms: self.norms, first: pixels.start, write: self.write, dx: maps, sums };
                T::dispatch(SweepBlock { sweep: self, pixels, maps, beta, arrays, dw });
            });
        }
    }
}

/// One row block, and its packed data: the output's gradient, `[pixel][output channel]` and in panels; some channels of
/// the maps; a tile.
struct SweepBlock<'a, 'b, T> {
    sweep: &'a Sweep<'a, T>,
    pixels: Range<usize>,
    maps: MapNorms<'a, 'b, T>,
    beta: Beta<'a, T>,
    arrays: [&'a mut [T]; 4],
    dw: &'a mut [T],
}

impl<T: Dispatch + Scratch> Operation<T> for SweepBlock<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { sweep, pixels, mut maps, beta, arrays: [dy, dy_panels, packed, tile], dw } = self;
        let Sweep { output, layout, groups, reader, padded, pixel, .. } = sweep;
        let count = pixels.len();
        output.finish(simd, pixels.clone(), dy, layout.pixel);
        pack_panels(simd, Matrix { data: dy, ld: layout.pixel }, output.channels(), dy_panels);
        let lines = Lines { starts: &[0], stride: *pixel, len: count };
        for (i, &group) in groups.iter().enumerate() {
            let channels = channels_of(group);
            let to = MatrixMut::new(packed, channels.len(), *pixel);
            pack_pre_activation(simd, &reader.maps, reader.affine, pixels.clone(), channels.clone(), to);
            let mut gradients = maps.dx[maps.holding(&channels)].iter().map(|dx| &**dx);
            let mut stream = PrefetchStream::new(&mut gradients);
            let mut rest = &*dy_panels;
            let dw = &mut dw[channels.start * padded..channels.end * padded];
            for panel in panels(output.channels(), S::LANES) {
                let (b, next) = rest.split_at(count * panel.width);
                rest = next;
                let (_, sums) = MatrixMut::new(dw, *padded, *padded).split_columns(panel.first);
                OuterProducts { a: packed, pixels: lines, b, vectors: panel.vectors }.run(
                    simd,
                    beta,
                    sums,
                    &mut stream,
                );
            }
            let mut next = sweep.next_runs(i, pixels.clone());
            let mut stream = PrefetchStream::new(&mut next);
            let dy = PackedDy { packed: dy, layout, rows: count, width: 1 };
            for &(panel, b) in group {
                dy.backward_panel::<S, 1>(simd, panel, b, &mut maps, tile, &mut stream);
            }
        }
    }
}

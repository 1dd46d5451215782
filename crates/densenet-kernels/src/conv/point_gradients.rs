//! Both gradients of a bottleneck, a 1x1 convolution, in one sweep: to the maps that it read and to its weights.
//!
//! Most of a training step's memory traffic is the maps of a block, which every layer behind them reads. Here they come to
//! the cache once for both gradients: some channels of a run of pixels are normalised and rectified again and multiplied by
//! the gradient of the output, for the weights; then that gradient is multiplied by the weights and goes back to the maps
//! past the same values. The correction of the output's own batch-norm is made as its gradient is packed.

use std::ops::Range;

use super::data_gradient::{back_panel, tile_len};
use super::outer::{Lines, outer_products, panels_of, transpose};
use crate::ahead::Ahead;
use crate::bands::{BandMaps, Bands};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Simd, Start};
use crate::norm::{MapNorm, MapNorms, Mode, NormGradient, Normalised, Uncorrected};
use crate::panels::{Panel, Panels, cut};
use crate::patch::{Input, Layout, Window, pre_activation};
use crate::splits::summed;

/// Most pixels of a band for each unit of cache: enough that the weights' sums are seldom loaded and stored.
const PIXELS: usize = 126;

/// Channels of a band that are worked on at a time, about, for each unit of cache, so that with their gradient, weights and
/// sums they stay there.
const CHANNELS: usize = 112;

compiled! {
    /// Takes the gradient of a bottleneck's `output` back: what [`super::data_gradient`] does to `gradient` and returns, and what
    /// [`super::weight_gradient`] does to `weight_gradient`, `[out][in]`. `weights` are those of [`super::backward_panels`].
    ///
    /// # Panics
    /// `output`, `weights`, `reader` and the gradients do not fit each other.
    pub fn point_gradients<T>(
        output: &Uncorrected<'_, T>,
        weights: &Panels<T>,
        reader: &Normalised<'_, T>,
        target: (Mode, &mut [T]),
        weight_gradient: &mut [T],
    ) -> NormGradient<T> {
        let (mode, gradient) = target;
        let (grid, channels, out) = (reader.maps.grid().flattened(), reader.maps.channels(), output.width());
        assert_eq!((weights.depth(), weights.columns()), (out, channels), "weights for the maps");
        assert_eq!(weight_gradient.len(), out * channels, "gradient of {out} by {channels} weights");
        let layout = Layout::new(&Input::Raw(output.gradient, grid, out), Window::POINT);
        let bands = Bands::of_pixels(grid, PIXELS * T::cache());
        let (panels, norms): (Vec<_>, _) = (weights.iter().collect(), MapNorm::all(reader, true));
        let at_a_time = (CHANNELS * T::cache() / (2 * T::lanes())).max(1);
        let groups: Vec<_> = panels.chunks(at_a_time).collect();
        let widest = groups.iter().map(|group| channels_of(group).len()).max().expect("weights have columns");
        let padded = out.next_multiple_of(T::lanes());
        // An odd number of cache lines keeps neighbouring pixels out of the same cache set.
        let pixel = (widest.div_ceil(16) | 1) * 16;
        let sweep = Sweep { output, layout, bands, groups, reader, norms: &norms, mode, padded, pixel };
        bands.summed_maps((gradient, reader.maps.widths()), |mut parts| {
            let add = |parts: &mut [BandMaps<'_, T>], copy: &mut [T]| sweep.add(parts, copy);
            summed(&mut parts, channels * padded, add, |sums| transpose(sums, padded, (channels, 1), weight_gradient));
        })
    }
}

/// Channels of neighbouring panels.
fn channels_of<T>(group: &[(Panel, &[T])]) -> Range<usize> {
    let (first, last) = (group[0].0, group[group.len() - 1].0);
    first.first..last.first + last.columns
}

/// The two gradients, before they are cut into bands.
struct Sweep<'a, T> {
    output: &'a Uncorrected<'a, T>,
    /// Of the output's gradient.
    layout: Layout,
    bands: Bands,
    /// Panels of weights, those whose channels are worked on at a time together.
    groups: Vec<&'a [(Panel, &'a [T])]>,
    reader: &'a Normalised<'a, T>,
    norms: &'a [MapNorm<'a, T>],
    mode: Mode,
    /// Output channels, with those that fill the last vector.
    padded: usize,
    /// Elements from one packed pixel of the maps to the next.
    pixel: usize,
}

impl<T: Dispatch> Sweep<'_, T> {
    /// What is packed behind group number `group` of `pixels`: the next group, or that and the output's gradient of as many
    /// pixels more.
    fn behind(&self, group: usize, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let last = group + 1 == self.groups.len();
        let (group, pixels) = match last {
            false => (self.groups[group + 1], pixels),
            true => (self.groups[0], pixels.end..pixels.end + pixels.len()),
        };
        let output = last.then(|| self.output.runs(pixels.clone())).into_iter().flatten();
        output.chain(self.reader.maps.runs(pixels, channels_of(group)))
    }

    /// Takes bands back to the maps, and puts their sums for the weights into `copy`, `[channel][padded output channel]`.
    fn add(&self, parts: &mut [BandMaps<'_, T>], copy: &mut [T]) {
        for (i, BandMaps { band, maps, sums }) in parts.iter_mut().enumerate() {
            let start = if i == 0 { Start::Zero } else { Start::Output };
            let (first, pixels) = (self.bands.pixels(band).start, band.rows.len());
            let lengths = [self.layout.len(pixels), pixels * self.padded, pixels * self.pixel, tile_len::<T>()];
            T::scratch(lengths.iter().sum(), |mut memory| {
                let arrays = lengths.map(|len| memory.split_off_mut(..len).expect("as long as all"));
                let maps = MapNorms { norms: self.norms, first, mode: self.mode, gradient: maps, sums };
                T::dispatch(SweepBand { sweep: self, pixels: (first, pixels), maps, start, arrays, copy });
            });
        }
    }
}

/// One band, and where it is packed: the output's gradient, `[pixel][output channel]` and in panels; some channels of the
/// maps; a tile.
struct SweepBand<'a, 'b, T> {
    sweep: &'a Sweep<'a, T>,
    pixels: (usize, usize),
    maps: MapNorms<'a, 'b, T>,
    start: Start<'a, T>,
    arrays: [&'a mut [T]; 4],
    copy: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for SweepBand<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { sweep, pixels: (first, count), mut maps, start, arrays: [dy, dy_panels, patch, tile], copy } = self;
        let Sweep { output, layout, groups, reader, padded, pixel, .. } = sweep;
        output.finish(simd, first..first + count, dy, layout.pixel);
        panels_of(simd, (dy, layout.pixel), output.width(), dy_panels);
        let lines = Lines { starts: &[0], step: *pixel, len: count };
        for (i, &group) in groups.iter().enumerate() {
            let channels = channels_of(group);
            let to = (&mut *patch, *pixel);
            pre_activation(simd, (&reader.maps, reader.affine), (first, count), channels.clone(), to);
            let mut gradients = maps.gradient[maps.under(&channels)].iter().map(|map| &**map);
            let mut ahead = Ahead::new(&mut gradients);
            let mut panels = &*dy_panels;
            for (column, _, vectors) in cut(output.width(), S::LANES) {
                let (panel, behind) = panels.split_at(count * vectors * S::LANES);
                panels = behind;
                let copy = (&mut copy[channels.start * padded + column..], *padded, start);
                outer_products(simd, (patch, lines), (panel, vectors), copy, channels.len(), &mut ahead);
            }
            let mut next = sweep.behind(i, first..first + count);
            let mut ahead = Ahead::new(&mut next);
            for &weights in group {
                back_panel::<S, 1>(simd, (dy, layout, count), weights, 1, &mut maps, tile, &mut ahead);
            }
        }
    }
}

//! The gradient of what the convolution reads: the convolution of the output's gradient with the filters turned by half a
//! circle, at the points as forward, and batch-norm's part of [`crate::conv::data_gradient`] behind it.

use super::tiles::{GAP, Memory, Source, Target, Tiling, evaluate_row, multiply, tile_step, turn_back};
use super::transform::{Inputs, Transform};
use super::{Filters, TileOperation};
use crate::bands::{Band, Bands};
use crate::isa::{Dispatch, Simd};
use crate::norm::{MapNorm, MapNorms, Mode, NormGradient, Normalised, Places};

/// What [`crate::conv::data_gradient`] does, for `filters` made by [`Filters::turned`].
pub fn data_gradient<T: Dispatch>(
    output_gradient: &[T],
    filters: &Filters<T>,
    reader: &Normalised<'_, T>,
    (mode, gradient): (Mode, &mut [T]),
) -> NormGradient<T> {
    assert_eq!(filters.columns(), reader.maps.channels(), "filters for the maps");
    let tiling = Tiling { grid: reader.maps.grid(), outputs: filters.tile.outputs() };
    let (out, step) = (filters.channels(), tile_step::<T>(filters.channels()));
    let bands = Bands::tiles(tiling.grid, tiling.points() * tiling.across() * step, tiling.outputs);
    let norms = MapNorm::all(reader);
    let source = Source::raw(output_gradient, tiling.grid, &out);
    let back = Back { source, filters, tiling, bands, step, norms: &norms, mode };
    bands.run_maps((gradient, reader.maps.widths()), &|band, gradient, sums| back.run(&band, gradient, sums))
}

/// A data gradient, before it is cut into bands.
struct Back<'a, T> {
    source: Source<'a, T>,
    filters: &'a Filters<T>,
    tiling: Tiling,
    bands: Bands,
    step: usize,
    norms: &'a [MapNorm<'a, T>],
    mode: Mode,
}

impl<T: Dispatch> Back<'_, T> {
    /// The part of one band.
    fn run(&self, band: &Band, gradient: &mut [&mut [T]], sums: &mut [T]) {
        let (tiling, channels) = (&self.tiling, self.filters.channels());
        let tiles = band.rows.len().div_ceil(tiling.outputs) * tiling.across();
        let width = self.filters.panels.iter().map(|(panel, _)| panel.width).max().expect("a filter");
        let [transformed, products] = [self.step, width].map(|step| tiling.points() * (tiles * step + GAP));
        let behind = band.rows.len() * tiling.grid.width * width;
        T::scratch(channels + tiling.strip::<T>() + transformed + products + behind, |memory| {
            let (zeros, memory) = memory.split_at_mut(channels);
            let (strip, memory) = memory.split_at_mut(tiling.strip::<T>());
            let (transformed, memory) = memory.split_at_mut(transformed);
            let (products, behind) = memory.split_at_mut(products);
            zeros.fill(T::zero());
            strip.fill(T::zero());
            let memory = (Memory { zeros, strip }, transformed, products, behind);
            let maps =
                MapNorms { norms: self.norms, first: self.bands.pixels(band).start, mode: self.mode, gradient, sums };
            self.filters.tile.dispatch(BackBand { back: self, band, tiles, memory, maps });
        });
    }
}

/// One band of all maps, and where it is made: the tiles at the points, `[point][tile][channel of the output]`, a panel's
/// products, `[point][tile][channel]`, and the gradient behind the ReLU that they make, `[pixel][channel]`.
struct BackBand<'a, 'b, T> {
    back: &'a Back<'a, T>,
    band: &'a Band,
    tiles: usize,
    memory: (Memory<'a, T>, &'a mut [T], &'a mut [T], &'a mut [T]),
    maps: MapNorms<'a, 'b, T>,
}

impl<T: Dispatch> TileOperation<T> for BackBand<'_, '_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { back, band, tiles, memory: (mut memory, transformed, products, behind), mut maps } = self;
        let Back { source, filters, tiling, step, .. } = back;
        let (across, points, width) = (tiling.across(), A::INPUTS * A::INPUTS, tiling.grid.width);
        let (point, product) = (transformed.len() / points, products.len() / points);
        let first = band.image * tiling.down() + band.rows.start / A::OUTPUTS;
        for row in 0..tiles / across {
            let to = (&mut transformed[row * across * step..], *step, point);
            let at = (source, tiling, first + row);
            evaluate_row::<S, Inputs<A>>(simd, at, 0..filters.channels(), &mut memory, to);
        }
        let pixels = band.rows.len() * width;
        let end = (simd.splat(T::zero()), simd.splat(T::neg_infinity()));
        for (panel, b) in filters.panels.iter() {
            let row = panel.width;
            multiply(
                simd,
                (tiles, points, filters.channels()),
                (transformed, *step),
                (panel, b),
                (products, row, product),
            );
            for tile in 0..tiles {
                let at = (tile % across * A::OUTPUTS, tile / across * A::OUTPUTS, band.rows.len());
                for start in (0..row).step_by(S::LANES) {
                    let mut target = Target { pixels: &mut behind[start..], width, step: row };
                    let from = (&products[tile * row + start..], product);
                    turn_back::<S, A>(simd, from, at, (end, S::LANES), &mut target);
                }
            }
            let columns = panel.first..panel.first + panel.columns;
            let places = Places { first: 0, outputs: width, width };
            let under = maps.under(&columns);
            maps.back::<S, 1>(simd, under, (columns, pixels, places), (behind, row, T::one()));
        }
    }
}

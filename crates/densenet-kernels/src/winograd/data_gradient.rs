//! The gradient of what the convolution reads: the convolution of the output's gradient with the filters turned by half a
//! circle, at the points as forward, and batch-norm's part of [`crate::conv::data_gradient`] behind it.

use super::tiles::{GAP, Memory, Source, Target, Tiling, evaluate_band, multiply, tile_step, turn_back, with_memory};
use super::transform::{Inputs, Transform};
use super::{Filters, TileOperation};
use crate::ahead::Ahead;
use crate::bands::{Band, Bands};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Simd};
use crate::norm::{MapNorm, MapNorms, Mode, NormGradient, Normalised, Places};

compiled! {
    /// What [`crate::conv::data_gradient`] does, for `filters` made by [`Filters::turned`].
    pub fn data_gradient<T>(
        output_gradient: &[T],
        filters: &Filters<T>,
        reader: &Normalised<'_, T>,
        target: (Mode, &mut [T]),
    ) -> NormGradient<T> {
        let (mode, gradient) = target;
        assert_eq!(filters.columns(), reader.maps.channels(), "filters for the maps");
        let tiling = Tiling { grid: reader.maps.grid(), outputs: filters.tile().outputs() };
        let (out, step) = (filters.channels(), tile_step::<T>(filters.channels()));
        let bands = tiling.bands(step);
        let norms = MapNorm::all(reader, true);
        let source = Source::raw(output_gradient, tiling.grid, &out);
        let back = Back { source, filters, tiling, bands, step, reader, norms: &norms, mode };
        bands.run_maps((gradient, reader.maps.widths()), &|band, gradient, sums| back.run(&band, gradient, sums))
    }
}

/// A data gradient, before it is cut into bands.
struct Back<'a, T> {
    source: Source<'a, T>,
    filters: &'a Filters<T>,
    tiling: Tiling,
    bands: Bands,
    step: usize,
    reader: &'a Normalised<'a, T>,
    norms: &'a [MapNorm<'a, T>],
    mode: Mode,
}

impl<T: Dispatch> Back<'_, T> {
    /// What is read after the gradient of `band`: its maps, and the next one's gradient.
    fn runs(&self, band: &Band) -> impl Iterator<Item = &[T]> {
        let Self { source, reader, bands, .. } = self;
        let maps = reader.maps.runs(bands.pixels(band), 0..reader.maps.channels());
        maps.chain(source.maps.runs(bands.behind(band), 0..1))
    }

    /// The part of one band.
    fn run(&self, band: &Band, gradient: &mut [&mut [T]], sums: &mut [T]) {
        let Self { filters, tiling, .. } = self;
        let width = filters.panels().iter().map(|(panel, _)| panel.width).max().expect("a filter");
        let tiles = tiling.rows(band).len() * tiling.across();
        let at_points = |step: usize| tiling.points() * (tiles * step + GAP);
        let behind = band.rows.len() * tiling.grid.width * width;
        let lengths = [at_points(self.step), at_points(width), behind];
        let first = self.bands.pixels(band).start;
        let maps = MapNorms { norms: self.norms, first, mode: self.mode, gradient, sums };
        with_memory(filters.channels(), lengths, |memory, arrays| {
            filters.tile().dispatch(BackBand { back: self, band, memory, arrays, maps });
        });
    }
}

/// One band of all maps, and where it is made: the tiles at the points, `[point][tile][channel of the output]`, a panel's
/// products, `[point][tile][channel]`, and the gradient behind the ReLU that they make, `[pixel][channel]`.
struct BackBand<'a, 'b, T> {
    back: &'a Back<'a, T>,
    band: &'a Band,
    memory: Memory<'a, T>,
    arrays: [&'a mut [T]; 3],
    maps: MapNorms<'a, 'b, T>,
}

impl<T: Dispatch> TileOperation<T> for BackBand<'_, '_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { back, band, mut memory, arrays: [transformed, products, behind], mut maps } = self;
        let Back { source, filters, tiling, step, .. } = back;
        let (rows, points, width) = (tiling.rows(band), A::INPUTS * A::INPUTS, tiling.grid.width);
        let (tiles, pixels) = (rows.len() * tiling.across(), band.rows.len() * width);
        evaluate_band::<S, Inputs<A>>(simd, (source, tiling, band), &mut memory, (transformed, *step));
        let point = products.len() / points;
        let mut next = back.runs(band);
        let mut ahead = Ahead::new(&mut next);
        for (panel, b) in filters.panels().iter() {
            let (shape, row) = ((tiles, points, filters.channels()), panel.width);
            multiply(simd, shape, (transformed, *step), (panel, b), (products, row, point), &mut ahead);
            let target =
                Target { pixels: behind, rows: rows.clone(), columns: row, step: row, bias: None, relu: false };
            turn_back::<S, A>(simd, tiling, (products, row), target);
            let columns = panel.first..panel.first + panel.columns;
            let (under, places) = (maps.under(&columns), Places { first: 0, outputs: width, width });
            maps.back::<S, 1>(simd, under, (columns, pixels, places), (behind, row));
        }
    }
}

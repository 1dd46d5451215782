//! The gradient of what a convolution reads.

use super::of_pixels;
use crate::Element;
use crate::ahead::Ahead;
use crate::bands::{Band, Bands};
use crate::compiled::compiled;
use crate::isa::{Dispatch, Operation, Product, Simd, Start};
use crate::maps::Grid;
use crate::norm::{MapNorm, MapNorms, Mode, NormGradient, Normalised, Places};
use crate::panels::{MOST_VECTORS, Panel, Panels};
use crate::patch::{Input, Layout, Window};
use crate::scratch::Scratch;

compiled! {
    /// Takes the gradient of a convolution's output back to the maps that it read: with `dz` the gradient behind
    /// batch-norm, masked by ReLU, `gradient` gets `gamma * dz` and the sums of `dz` and `dz * xh` are returned. Batch-norm's
    /// correction is linear, so it waits until all readers of a map have added theirs: [`crate::norm::finish`].
    ///
    /// `output_gradient` is `[image][y][x][channel]`, `window` the forward one (of stride 1), `weights` those of
    /// [`super::backward_panels`], `pooled` says that the convolution read [`Input::Pooled`]. `gradient` is laid out as the
    /// maps.
    pub fn data_gradient<T>(
        output_gradient: &[T],
        window: Window,
        pooled: bool,
        weights: &Panels<T>,
        reader: &Normalised<'_, T>,
        target: (Mode, &mut [T]),
    ) -> NormGradient<T> {
        let (mode, gradient) = target;
        assert_eq!(window.stride, 1, "the data gradient of a strided convolution is not needed by any DenseNet");
        assert_eq!(weights.columns(), reader.maps.channels(), "weights for the maps");
        let column = window == Window::POINT && !pooled;
        let grid = if column { reader.maps.grid().flattened() } else { reader.maps.grid() };
        let seen = if pooled { grid.halved() } else { grid };
        let input = Input::Raw(output_gradient, window.output(seen), weights.depth() / (window.kernel * window.kernel));
        let layout = Layout::new(&input, Window { padding: window.kernel - 1 - window.padding, ..window });
        let bands = if pooled { Bands::pairs(grid, layout.row()) } else { Bands::new(grid, layout.row()) };
        let norms = MapNorm::all(reader, true);
        let back = Back { input, layout, bands, weights, pooled, norms: &norms, mode, grid };
        bands.run_maps((gradient, reader.maps.widths()), &|band, gradient, sums| {
            T::scratch(layout.len(band.rows.len()) + tile_len::<T>(), |memory| {
                T::dispatch(BackBand { back: &back, band: &band, gradient, sums, memory });
            });
        })
    }
}

/// Pixels that a panel's products go back to the maps of at a time: whole micro-tiles of every instruction set, and so many
/// that what is done once for all of them counts little.
const AT_ONCE: usize = 42;

/// Elements of the products that go back at a time.
pub(super) fn tile_len<T: Dispatch>() -> usize {
    AT_ONCE * MOST_VECTORS * T::lanes()
}

/// A data gradient, before it is cut into bands.
struct Back<'a, T> {
    input: Input<'a, T>,
    layout: Layout,
    bands: Bands,
    weights: &'a Panels<T>,
    pooled: bool,
    norms: &'a [MapNorm<'a, T>],
    mode: Mode,
    grid: Grid,
}

/// The part of a data gradient that goes to one band of all feature maps.
struct BackBand<'a, 'b, T> {
    back: &'a Back<'a, T>,
    band: &'a Band,
    gradient: &'a mut [&'b mut [T]],
    sums: &'a mut [T],
    memory: &'a mut [T],
}

impl<T: Dispatch> Operation<T> for BackBand<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { back, band, gradient, sums, memory } = self;
        let Back { input, layout, bands, weights, pooled, norms, mode, grid } = back;
        let rows = if *pooled { band.rows.start / 2..band.rows.end / 2 } else { band.rows.clone() };
        let seen = Band { rows, ..*band };
        let mut mode = *mode;
        let outside = grid.width % 2 == 1 || band.rows.len() % 2 == 1;
        if *pooled && outside && mode == Mode::Set {
            // Pixels of an odd last row or column are in no window.
            gradient.iter_mut().for_each(|gradient| gradient.fill(T::zero()));
            mode = Mode::Add;
        }
        let mut maps = MapNorms { norms, first: bands.pixels(band).start, mode, gradient, sums };
        let (patch, tile) = memory.split_at_mut(layout.len(seen.rows.len()));
        input.fill(simd, layout, &seen, patch);
        let patch = (&*patch, layout, seen.rows.len());
        let mut nothing = std::iter::empty();
        let mut ahead = Ahead::new(&mut nothing);
        for weights in weights.iter() {
            match pooled {
                true => back_panel::<S, 4>(simd, patch, weights, grid.width, &mut maps, tile, &mut ahead),
                false => back_panel::<S, 1>(simd, patch, weights, grid.width, &mut maps, tile, &mut ahead),
            }
        }
    }
}

/// Takes `rows` rows of the output's gradient, in a patch, back to the channels of a panel of weights, by way of a `tile`;
/// maps are `width` pixels wide, and `N` of their pixels were averaged to one that the convolution saw. Asks for what is
/// `ahead`.
#[inline(always)]
pub(super) fn back_panel<S: Simd<T: Dispatch>, const N: usize>(
    simd: S,
    (patch, layout, rows): (&[S::T], &Layout, usize),
    (panel, b): (Panel, &[S::T]),
    width: usize,
    maps: &mut MapNorms<'_, '_, S::T>,
    tile: &mut [S::T],
    ahead: &mut Ahead<'_, '_, S::T>,
) {
    let ((taps, count), no_floor) = (layout.taps(), S::T::of(f64::NEG_INFINITY));
    let columns = panel.first..panel.first + panel.columns;
    let under = maps.under(&columns);
    for (from, first, pixels) in layout.runs(rows, AT_ONCE) {
        let patch = (&patch[from..], layout, pixels);
        let product = Product { columns: panel.width, ..of_pixels(patch, &taps[..count], (panel, b), no_floor) };
        product.run(simd, Start::Zero, (tile, panel.width), ahead);
        let at = (columns.clone(), pixels, Places { first, outputs: layout.outputs, width });
        maps.back::<S, N>(simd, under.clone(), at, (tile, panel.width));
    }
}

//! The convolution forward.

use super::tiles::{GAP, Memory, Source, Target, Tiling, evaluate_row, multiply, tile_step, turn_back};
use super::transform::{Inputs, Transform};
use super::{Filters, TileOperation};
use crate::bands::{Band, Bands};
use crate::conv::Epilogue;
use crate::isa::{Dispatch, Simd};
use crate::norm::Moments;
use crate::patch::Input;

/// `output[image][y][x][channel]` of a 3x3 convolution of stride 1 and padding 1.
///
/// # Panics
/// `input` is neither raw nor a pre-activation, or `filters` or `output` do not fit it.
pub fn forward<T: Dispatch>(input: &Input<'_, T>, filters: &Filters<T>, epilogue: &Epilogue<'_, T>, output: &mut [T]) {
    let forward = Forward::new(input, filters, epilogue);
    forward.bands.run((output, filters.columns()), (&mut [], 0), &|band, output, _| forward.run(&band, output));
}

/// [`forward`], and the batch statistics of what it makes.
pub fn forward_with_moments<T: Dispatch>(
    input: &Input<'_, T>,
    filters: &Filters<T>,
    epilogue: &Epilogue<'_, T>,
    output: &mut [T],
) -> Moments<T> {
    let forward = Forward::new(input, filters, epilogue);
    forward.bands.run_with_moments((output, filters.columns()), &|band, output| forward.run(&band, output))
}

/// A convolution and how it is cut into bands.
struct Forward<'a, T> {
    source: Source<'a, T>,
    filters: &'a Filters<T>,
    epilogue: &'a Epilogue<'a, T>,
    tiling: Tiling,
    bands: Bands,
    /// Elements from one tile to the next at a point: of the transformed input, of the products.
    steps: [usize; 2],
}

impl<'a, T: Dispatch> Forward<'a, T> {
    fn new(input: &'a Input<'a, T>, filters: &'a Filters<T>, epilogue: &'a Epilogue<'a, T>) -> Self {
        assert_eq!(filters.channels(), input.channels(), "channels of {:?}", input.grid());
        let tiling = Tiling { grid: input.grid(), outputs: filters.tile.outputs() };
        let steps = [tile_step::<T>(filters.channels()), filters.columns().next_multiple_of(T::lanes())];
        let bands = Bands::tiles(tiling.grid, tiling.points() * tiling.across() * steps[0], tiling.outputs);
        Self { source: Source::new(input), filters, epilogue, tiling, bands, steps }
    }

    /// Makes one band of the output.
    fn run(&self, band: &Band, output: &mut [T]) {
        let (tiling, channels) = (&self.tiling, self.filters.channels());
        let tiles = band.rows.len().div_ceil(tiling.outputs) * tiling.across();
        let [transformed, products] = self.steps.map(|step| tiling.points() * (tiles * step + GAP));
        T::scratch(channels + tiling.strip::<T>() + transformed + products, |memory| {
            let (zeros, memory) = memory.split_at_mut(channels);
            let (strip, memory) = memory.split_at_mut(tiling.strip::<T>());
            let (transformed, products) = memory.split_at_mut(transformed);
            zeros.fill(T::zero());
            strip.fill(T::zero());
            let memory = (Memory { zeros, strip }, transformed, products);
            self.filters.tile.dispatch(TileBand { forward: self, band, tiles, memory, output });
        });
        let first = (band.image * tiling.grid.height + band.rows.start) * tiling.grid.width;
        self.epilogue.finish(output, self.filters.columns(), tiling.grid, first);
    }
}

/// One band of the output, and where it is made: the tiles at the points, `[point][tile][input channel]`, and their
/// products, `[point][tile][output channel]`.
struct TileBand<'a, T> {
    forward: &'a Forward<'a, T>,
    band: &'a Band,
    tiles: usize,
    memory: (Memory<'a, T>, &'a mut [T], &'a mut [T]),
    output: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for TileBand<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { forward, band, tiles, memory: (mut memory, transformed, products), output } = self;
        let Forward { source, filters, epilogue, tiling, steps, .. } = forward;
        let (across, out) = (tiling.across(), filters.columns());
        let points = A::INPUTS * A::INPUTS;
        let (point, product) = (transformed.len() / points, products.len() / points);
        let first = band.image * tiling.down() + band.rows.start / A::OUTPUTS;
        for row in 0..tiles / across {
            let to = (&mut transformed[row * across * steps[0]..], steps[0], point);
            let at = (source, tiling, first + row);
            evaluate_row::<S, Inputs<A>>(simd, at, 0..filters.channels(), &mut memory, to);
        }
        for (panel, b) in filters.panels.iter() {
            let products = (&mut products[panel.first..], steps[1], product);
            multiply(simd, (tiles, points, filters.channels()), (transformed, steps[0]), (panel, b), products);
        }
        let floor = simd.splat(epilogue.floor());
        for tile in 0..tiles {
            for start in (0..out).step_by(S::LANES) {
                let lanes = S::LANES.min(out - start);
                let bias = match epilogue.bias {
                    Some(bias) => simd.load(&bias[start..start + lanes]),
                    None => simd.splat(T::zero()),
                };
                let mut target = Target { pixels: &mut output[start..], width: tiling.grid.width, step: out };
                let at = (tile % across * A::OUTPUTS, tile / across * A::OUTPUTS, band.rows.len());
                let from = (&products[tile * steps[1] + start..], product);
                turn_back::<S, A>(simd, from, at, ((bias, floor), lanes), &mut target);
            }
        }
    }
}

//! The convolution forward.

use super::tiles::{GAP, Memory, Source, Target, Tiling, evaluate_band, multiply, tile_step, turn_back, with_memory};
use super::transform::{Inputs, Transform};
use super::{Filters, TileOperation};
use crate::ahead::Ahead;
use crate::bands::{Band, Bands};
use crate::compiled::compiled;
use crate::conv::Epilogue;
use crate::isa::{Dispatch, Simd};
use crate::norm::Moments;
use crate::patch::Input;

compiled! {
    /// `output[image][y][x][channel]` of a 3x3 convolution of stride 1 and padding 1.
    ///
    /// # Panics
    /// `input` is neither raw nor a pre-activation, or `filters` or `output` do not fit it.
    pub fn forward<T>(input: &Input<'_, T>, filters: &Filters<T>, epilogue: &Epilogue<'_, T>, output: &mut [T]) {
        let forward = Forward::new(input, filters, epilogue);
        forward.bands.run((output, filters.columns()), (&mut [], 0), &|band, output, _| forward.run(&band, output));
    }

    /// [`forward`], and the batch statistics of what it makes.
    pub fn forward_with_moments<T>(
        input: &Input<'_, T>,
        filters: &Filters<T>,
        epilogue: &Epilogue<'_, T>,
        output: &mut [T],
    ) -> Moments<T> {
        let forward = Forward { asks: true, ..Forward::new(input, filters, epilogue) };
        forward.bands.run_with_moments((output, filters.columns()), &|band, output| forward.run(&band, output))
    }
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
    /// Whether products ask for what the next band reads: in training, where a batch's maps lie in memory. Those of
    /// inference are in the cache, and asking for them costs time.
    asks: bool,
}

impl<'a, T: Dispatch> Forward<'a, T> {
    fn new(input: &'a Input<'a, T>, filters: &'a Filters<T>, epilogue: &'a Epilogue<'a, T>) -> Self {
        assert_eq!(filters.channels(), input.channels(), "channels of {:?}", input.grid());
        let tiling = Tiling { grid: input.grid(), outputs: filters.tile().outputs() };
        let steps = [tile_step::<T>(filters.channels()), filters.columns().next_multiple_of(T::lanes())];
        let bands = tiling.bands(steps[0]);
        Self { source: Source::new(input), filters, epilogue, tiling, bands, steps, asks: false }
    }

    /// Makes one band of the output.
    fn run(&self, band: &Band, output: &mut [T]) {
        let Self { filters, tiling, .. } = self;
        let tiles = tiling.rows(band).len() * tiling.across();
        let lengths = self.steps.map(|step| tiling.points() * (tiles * step + GAP));
        with_memory(filters.channels(), lengths, |memory, [transformed, products]| {
            filters.tile().dispatch(TileBand { forward: self, band, memory, transformed, products, output });
        });
        self.epilogue.finish(output, filters.columns(), tiling.grid, self.bands.pixels(band).start);
    }
}

/// One band of the output, and where it is made: the tiles at the points, `[point][tile][input channel]`, and their
/// products, `[point][tile][output channel]`.
struct TileBand<'a, T> {
    forward: &'a Forward<'a, T>,
    band: &'a Band,
    memory: Memory<'a, T>,
    transformed: &'a mut [T],
    products: &'a mut [T],
    output: &'a mut [T],
}

impl<T: Dispatch> TileOperation<T> for TileBand<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, A: Transform>(self, simd: S) {
        let Self { forward, band, mut memory, transformed, products, output } = self;
        let Forward { source, filters, epilogue, tiling, bands, steps, asks } = forward;
        let (rows, points, columns) = (tiling.rows(band), A::INPUTS * A::INPUTS, filters.columns());
        evaluate_band::<S, Inputs<A>>(simd, (source, tiling, band), &mut memory, (transformed, steps[0]));
        let point = products.len() / points;
        let runs = || source.maps.runs(bands.behind(band), 0..filters.channels());
        let mut behind = asks.then(runs).into_iter().flatten();
        let mut ahead = Ahead::new(&mut behind);
        for (panel, b) in filters.panels().iter() {
            let shape = (rows.len() * tiling.across(), points, filters.channels());
            let products = (&mut products[panel.first..], steps[1], point);
            multiply(simd, shape, (transformed, steps[0]), (panel, b), products, &mut ahead);
        }
        let Epilogue { bias, relu, .. } = **epilogue;
        let target = Target { pixels: output, rows, columns, step: columns, bias, relu };
        turn_back::<S, A>(simd, tiling, (products, steps[1]), target);
    }
}

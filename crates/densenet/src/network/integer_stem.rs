//! The stem in int8: pictures become bytes as they are packed, and the bytes of the first map are pooled.

use densenet_kernels::int8::{self, IntegerInput};
use densenet_kernels::{Aligned, stem};

use super::batch::Batch;
use super::float_stem::STEM_POOL;
use super::integer_conv::Packed;
use super::shape::{conv_shape, stem_pool};
use super::steps::{Part, Step};
use super::weights::Weights;
use crate::profile::{Pass, Probe};
use crate::quantization::{Quantization, Requantize};

/// The stem, packed.
#[derive(Debug)]
pub(super) struct IntegerStem {
    /// From pictures to bytes.
    read: Requantize,
    /// The convolution, to the bytes of the first map.
    conv: Packed,
    pool: Option<stem::Pool>,
}

impl IntegerStem {
    /// Packs the stem of a network.
    pub fn new(weights: &Weights<f32>, quantization: &Quantization) -> Self {
        let Quantization { convs, picture_zero, maps } = quantization;
        let arch = &weights.architecture;
        let (conv, integers) = (&arch.stem_conv, &convs[&arch.stem_conv.name]);
        let bias = conv.bias.as_ref().map(|bias| weights.parameter(bias));
        let norm = arch.stem_norm.as_ref().map(|norm| weights.affine(norm));
        let norm = norm.as_ref().map(|norm| norm.affine());
        Self {
            read: integers.read_pictures(picture_zero),
            conv: Packed {
                name: conv.name.clone(),
                conv: int8::pack_for_pictures(conv_shape(conv), &integers.weight),
                write: integers.write_first_map(picture_zero, bias, norm, &maps[0]),
            },
            pool: arch.stem_pool.map(stem_pool),
        }
    }

    /// Computes the stem's output for pictures; if it pools, `raw` receives the output of its convolution.
    pub fn run(&self, batch: Batch<'_, f32>, raw: &mut Aligned<u8>, output: &mut [u8], probe: Probe<'_>) {
        let Self { read, conv, pool } = self;
        let input = IntegerInput::Pictures { data: batch.pictures, grid: batch.grid, affine: read.affine() };
        let Some(pool) = *pool else { return conv.run(&input, output, probe) };
        let shape = conv.conv.shape();
        let (grid, channels) = (shape.window.output(batch.grid), shape.out_channels);
        let raw = raw.at_least(grid.pixels() * channels);
        conv.run(&input, raw, probe);
        probe.at(STEM_POOL).time(Pass::Rest, 0, || int8::pool(raw, grid, channels, pool, output));
    }

    /// Its operations on pictures with these `extents`, which give a map with the extents `first`.
    pub fn steps(&self, extents: (usize, usize), first: (usize, usize)) -> impl Iterator<Item = Step> {
        let channels = self.conv.conv.shape().out_channels;
        let pool =
            self.pool.map(|by| Step::pooling(STEM_POOL, Part::Stem, channels, [by.window().kernel; 2], first.into()));
        std::iter::once(self.conv.step(Part::Stem, extents)).chain(pool)
    }
}

//! The input of an int8 convolution, and how it is packed.

use crate::pack::{Layout, Spacing};
use crate::parallel::RowBlock;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid, Pooling, Window};
use crate::simd::integer::{Integer, IntegerSimd};
use crate::simd::requantize::{MOST, requantize, requantize_channel, requantize_pooled};
use crate::simd::strided::{Matrix, MatrixMut};

/// Pixels of a picture's row that are converted to bytes before they are interleaved with the other channels.
const RUN: usize = 256;

/// The input of an int8 convolution.
#[derive(Clone, Copy, Debug)]
pub enum IntegerInput<'a> {
    /// `round(scale * q + shift)` from 0 to 255 of feature maps, possibly pooled before rounding.
    PreActivation {
        /// The maps.
        maps: FeatureMaps<'a, u8>,
        /// Scale and shift of each channel: batch-norm, and the conversion from the map's scale to the activation's.
        affine: Affine<'a, f32>,
        /// The pooling after the ReLU.
        pooling: Pooling,
    },
    /// Activations as they are, with a zero point of 0.
    Raw {
        /// `[image][y][x][channel]`.
        data: &'a [u8],
        /// Their extents.
        grid: Grid,
        /// Their channels.
        channels: usize,
    },
    /// `round(scale * x + shift)` from 0 to 255 of pictures `x`. The zeros around them are converted to bytes like the
    /// rest of a picture, since a byte of 0 does not stand for a picture's 0.
    Pictures {
        /// `[image][channel][y][x]`.
        data: &'a [f32],
        /// Their extents.
        grid: Grid,
        /// Scale and shift of each channel.
        affine: Affine<'a, f32>,
    },
}

impl IntegerInput<'_> {
    /// Extents of the convolution's input, after any pooling.
    pub fn grid(&self) -> Grid {
        match self {
            Self::PreActivation { maps, pooling, .. } => pooling.output(maps.grid()),
            Self::Raw { grid, .. } | Self::Pictures { grid, .. } => *grid,
        }
    }

    /// Input channels of the convolution.
    pub fn channels(&self) -> usize {
        match self {
            Self::PreActivation { maps, .. } => maps.channels(),
            Self::Raw { channels, .. } => *channels,
            Self::Pictures { affine, .. } => affine.scale.len(),
        }
    }

    /// How its pixels are packed.
    pub(super) fn spacing(&self) -> Spacing {
        match self {
            Self::PreActivation { .. } | Self::Raw { .. } => Spacing::Lines,
            Self::Pictures { .. } => Spacing::Dense,
        }
    }

    /// The same for a convolution of `window`: to a 1x1 convolution all pixels are alike, so they become one column,
    /// which can be cut anywhere.
    pub(super) fn for_window(self, window: Window) -> Self {
        match self {
            Self::PreActivation { maps, affine, pooling: Pooling::None } if window == Window::POINT => {
                Self::PreActivation { maps: maps.flattened(), affine, pooling: Pooling::None }
            }
            Self::Raw { data, grid, channels } if window == Window::POINT => {
                Self::Raw { data, grid: grid.flattened(), channels }
            }
            other => other,
        }
    }

    /// Packs the input of `block`.
    #[inline(always)]
    pub(super) fn pack<S: IntegerSimd, P: Integer>(
        &self,
        simd: S,
        layout: &Layout,
        block: &RowBlock,
        packed: &mut [P::Input],
    ) {
        let grid = self.grid();
        let Layout { window, columns, pixel, .. } = *layout;
        let in_column =
            !matches!(self, Self::Pictures { .. } | Self::PreActivation { pooling: Pooling::Average2x2, .. });
        if in_column && columns == 1 && window == Window::POINT {
            // The pixels of a column follow each other like those of a row.
            return self.pack_row::<S, P>(simd, block.image, block.rows.start, packed, pixel);
        }
        let inside = window.padding..(window.padding + grid.width).min(columns);
        let first = (block.rows.start * window.stride) as isize - window.padding as isize;
        for (r, row) in packed.chunks_exact_mut(columns * pixel).enumerate() {
            let y = first + r as isize;
            if y < 0 || y >= grid.height as isize {
                self.pad::<P>(row, pixel);
                continue;
            }
            self.pad::<P>(&mut row[..inside.start * pixel], pixel);
            self.pad::<P>(&mut row[inside.end * pixel..], pixel);
            let row = &mut row[inside.start * pixel..inside.end * pixel];
            self.pack_row::<S, P>(simd, block.image, y as usize, row, pixel);
        }
    }

    /// Fills pixels of `to` with the zeros around the input.
    #[inline(always)]
    fn pad<P: Integer>(&self, to: &mut [P::Input], pixel: usize) {
        let Self::Pictures { affine, .. } = self else { return to.fill(P::input(0)) };
        for to in to.chunks_exact_mut(pixel) {
            for (to, shift) in to.iter_mut().zip(affine.shift) {
                *to = P::input(shift.clamp(0.0, MOST).round_ties_even() as u8);
            }
        }
    }

    /// Packs as many pixels as `row` holds, from the start of row `y` of `image` on.
    #[inline(always)]
    fn pack_row<S: IntegerSimd, P: Integer>(
        &self,
        simd: S,
        image: usize,
        y: usize,
        row: &mut [P::Input],
        pixel: usize,
    ) {
        let count = row.len() / pixel;
        match *self {
            Self::PreActivation { maps, affine, pooling } => {
                let grid = maps.grid();
                let rows = if pooling == Pooling::None { 1 } else { 2 };
                let start = (image * grid.height + rows * y) * grid.width;
                for FeatureMap { first, channels, data } in maps.iter() {
                    let data = &data[start * channels..];
                    let affine = affine.channels(first..first + channels);
                    let to = MatrixMut::new(&mut row[first..], channels, pixel);
                    match pooling {
                        Pooling::None => requantize(simd, affine, Matrix { data, ld: channels }, to),
                        Pooling::Average2x2 => {
                            requantize_pooled(simd, affine, &data[..2 * grid.width * channels], to);
                        }
                    }
                }
            }
            Self::Raw { data, grid, channels } => {
                let from = &data[(image * grid.height + y) * grid.width * channels..][..count * channels];
                for (from, to) in from.chunks_exact(channels).zip(row.chunks_exact_mut(pixel)) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = P::input(from));
                }
            }
            Self::Pictures { data, grid, affine } => {
                let channels = affine.scale.len();
                for (c, (&scale, &shift)) in affine.scale.iter().zip(affine.shift).enumerate() {
                    let from = &data[((image * channels + c) * grid.height + y) * grid.width..][..count];
                    let mut run = [P::input(0); RUN];
                    for (from, to) in from.chunks(RUN).zip(row.chunks_mut(RUN * pixel)) {
                        requantize_channel(simd, scale, shift, from, &mut run[..from.len()]);
                        for (&byte, to) in run.iter().zip(to.chunks_exact_mut(pixel)) {
                            to[c] = byte;
                        }
                    }
                }
            }
        }
    }
}

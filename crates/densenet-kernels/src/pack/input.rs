//! The input of a convolution, and how it is packed.

use std::ops::Range;

use super::layout::{Layout, Spacing};
use crate::parallel::RowBlock;
use crate::scalar::Scalar;
use crate::shapes::{Affine, FeatureMap, FeatureMaps, Grid, Pooling, Window};
use crate::simd::Simd;
use crate::simd::pre_activation;
use crate::simd::strided::{Matrix, MatrixMut};

/// The input of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, T> {
    /// `relu(scale * x + shift)` of feature maps, possibly pooled.
    PreActivation {
        /// The maps.
        maps: FeatureMaps<'a, T>,
        /// Scale and shift of each channel.
        affine: Affine<'a, T>,
        /// The pooling after the ReLU.
        pooling: Pooling,
    },
    /// Feature maps or gradients as they are.
    Raw {
        /// `[image][y][x][channel]`.
        data: &'a [T],
        /// Their extents.
        grid: Grid,
        /// Their channels.
        channels: usize,
    },
    /// Pictures.
    Pictures {
        /// `[image][channel][y][x]`.
        data: &'a [T],
        /// Their extents.
        grid: Grid,
        /// Their channels.
        channels: usize,
    },
}

impl<'a, T: Copy> Input<'a, T> {
    /// A pre-activation that is not pooled.
    pub fn pre_activation(maps: FeatureMaps<'a, T>, affine: Affine<'a, T>) -> Self {
        Self::PreActivation { maps, affine, pooling: Pooling::None }
    }

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
            Self::Raw { channels, .. } | Self::Pictures { channels, .. } => *channels,
        }
    }

    /// The same for a convolution of `window`: to a 1x1 convolution all pixels are alike, so they become one column, which
    /// can be cut anywhere.
    pub(crate) fn for_window(self, window: Window) -> Self {
        match self {
            Self::PreActivation { maps, affine, pooling: Pooling::None } if window == Window::POINT => {
                Self::pre_activation(maps.flattened(), affine)
            }
            Self::Raw { data, grid, channels } if window == Window::POINT => {
                Self::Raw { data, grid: grid.flattened(), channels }
            }
            other => other,
        }
    }

    /// Where a convolution of `window` finds the input once it is packed.
    ///
    /// # Panics
    /// If the number of elements does not match the extents, or the window does not fit.
    pub(crate) fn layout(&self, window: Window) -> Layout {
        if let Self::Raw { data, grid, channels } | Self::Pictures { data, grid, channels } = self {
            assert_eq!(data.len(), channels * grid.pixels(), "{channels} channels of {grid:?}");
        }
        let spacing = if matches!(self, Self::Pictures { .. }) { Spacing::Dense } else { Spacing::Lines };
        Layout::new(self.grid(), self.channels(), window, spacing)
    }

    /// The elements that are read to pack `pixels`, counted after any pooling; pixels past the end are left out.
    pub(crate) fn runs(&self, pixels: Range<usize>) -> impl Iterator<Item = &[T]> {
        let (maps, pooled) = match self {
            Self::PreActivation { maps, pooling, .. } => (Some(*maps), pooling.pixels()),
            Self::Raw { data, grid, channels } => {
                (Some(FeatureMaps::new(data, *grid, std::slice::from_ref(channels))), 1)
            }
            Self::Pictures { .. } => (None, 1),
        };
        let pixels = pooled * pixels.start..pooled * pixels.end;
        maps.into_iter().flat_map(move |maps| maps.runs(pixels.clone(), 0..maps.channels()))
    }
}

impl<T: Scalar> Input<'_, T> {
    /// Packs the input of `block`.
    #[inline(always)]
    pub(crate) fn pack<S: Simd<T = T>>(&self, simd: S, layout: &Layout, block: &RowBlock, packed: &mut [T]) {
        let grid = self.grid();
        let Layout { window, columns, pixel, .. } = *layout;
        let in_column =
            !matches!(self, Self::Pictures { .. } | Self::PreActivation { pooling: Pooling::Average2x2, .. });
        if in_column && columns == 1 && window == Window::POINT {
            // The pixels of a column follow each other like those of a row.
            return self.pack_row(simd, block.image, block.rows.start, packed, pixel);
        }
        let inside = window.padding..(window.padding + grid.width).min(columns);
        let first = (block.rows.start * window.stride) as isize - window.padding as isize;
        for (r, row) in packed.chunks_exact_mut(columns * pixel).enumerate() {
            let y = first + r as isize;
            if y < 0 || y >= grid.height as isize {
                row.fill(T::zero());
                continue;
            }
            row[..inside.start * pixel].fill(T::zero());
            row[inside.end * pixel..].fill(T::zero());
            let row = &mut row[inside.start * pixel..inside.end * pixel];
            self.pack_row(simd, block.image, y as usize, row, pixel);
        }
    }

    /// Packs as many pixels as `row` holds, from the start of row `y` of `image` on.
    #[inline(always)]
    fn pack_row<S: Simd<T = T>>(&self, simd: S, image: usize, y: usize, row: &mut [T], pixel: usize) {
        match *self {
            Self::PreActivation { maps, affine, pooling: Pooling::None } => {
                let (grid, count) = (maps.grid(), row.len() / pixel);
                let first = (image * grid.height + y) * grid.width;
                let to = MatrixMut::new(row, maps.channels(), pixel);
                pack_pre_activation(simd, &maps, affine, first..first + count, 0..maps.channels(), to);
            }
            Self::PreActivation { maps, affine, pooling: Pooling::Average2x2 } => {
                let grid = maps.grid();
                for FeatureMap { first, channels, data } in maps.iter() {
                    let start = (image * grid.height + 2 * y) * grid.width * channels;
                    let affine = affine.channels(first..first + channels);
                    pack_pooled(simd, &data[start..][..2 * grid.width * channels], affine, &mut row[first..], pixel);
                }
            }
            Self::Raw { data, grid, channels } => {
                let from = &data[(image * grid.height + y) * grid.width * channels..];
                for (from, to) in from.chunks_exact(channels).zip(row.chunks_exact_mut(pixel)) {
                    to[..channels].copy_from_slice(from);
                }
            }
            Self::Pictures { data, grid, channels } => {
                for c in 0..channels {
                    let from = &data[((image * channels + c) * grid.height + y) * grid.width..][..grid.width];
                    for (&from, to) in from.iter().zip(row.chunks_exact_mut(pixel)) {
                        to[c] = from;
                    }
                }
            }
        }
    }
}

/// Packs `channels` of `pixels` of maps, counted over all images, normalised and rectified.
#[inline(always)]
pub(crate) fn pack_pre_activation<S: Simd>(
    simd: S,
    maps: &FeatureMaps<'_, S::T>,
    affine: Affine<'_, S::T>,
    pixels: Range<usize>,
    channels: Range<usize>,
    mut to: MatrixMut<'_, S::T>,
) {
    assert!(pixels.len() <= to.rows() && channels.len() <= to.columns(), "room for the packed pixels");
    for FeatureMap { first, channels: map_channels, data } in maps.iter() {
        let (from, end) = (channels.start.max(first), channels.end.min(first + map_channels));
        if from < end {
            let data = &data[pixels.start * map_channels + from - first..];
            let (to, _) = to.reborrow().split_rows(pixels.len());
            let (_, to) = to.split_columns(from - channels.start);
            pack_map(simd, Matrix { data, ld: map_channels }, affine.channels(from..end), to);
        }
    }
}

/// Packs some channels of a map, normalised and rectified: a pixel for each row of `to`.
#[inline(always)]
fn pack_map<S: Simd>(simd: S, map: Matrix<'_, S::T>, affine: Affine<'_, S::T>, mut to: MatrixMut<'_, S::T>) {
    let channels = affine.scale.len();
    let mut start = 0;
    while start < channels {
        let affine = affine.channels(start..channels);
        let map = Matrix { data: &map.data[start..], ..map };
        let (_, to) = to.reborrow().split_columns(start);
        start += match (channels - start) / S::LANES {
            0 => pre_activation::forward_lanes(simd, affine, map, to),
            1 => pre_activation::forward::<S, 1>(simd, affine, map, to),
            2 | 3 => pre_activation::forward::<S, 2>(simd, affine, map, to),
            _ => pre_activation::forward::<S, 4>(simd, affine, map, to),
        };
    }
}

/// Packs two rows of pixels, normalised, rectified and averaged two by two.
#[inline(always)]
fn pack_pooled<S: Simd>(simd: S, rows: &[S::T], affine: Affine<'_, S::T>, to: &mut [S::T], pixel: usize) {
    let channels = affine.scale.len();
    let (upper, lower) = rows.split_at(rows.len() / 2);
    let (zero, quarter) = (simd.splat(S::T::default()), simd.splat(S::T::of(0.25)));
    for start in (0..channels).step_by(S::LANES) {
        let lanes = start..(start + S::LANES).min(channels);
        let (scale, shift) = (simd.load(&affine.scale[lanes.clone()]), simd.load(&affine.shift[lanes.clone()]));
        let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        for ((upper, lower), to) in pairs.zip(to.chunks_mut(pixel)) {
            let mut sum = zero;
            for from in [upper, &upper[channels..], lower, &lower[channels..]] {
                let z = simd.mul_add(simd.load(&from[lanes.clone()]), scale, shift);
                sum = simd.add(sum, simd.max(zero, z));
            }
            simd.store(simd.mul(sum, quarter), &mut to[lanes.clone()]);
        }
    }
}

//! Values at the points of tiles, and the products there.

use crate::gemm::{Beta, Brgemm, Panel, PrefetchStream};
use crate::scalar::Scalar;
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Simd};

/// Extra elements between one tile and the next, and between one point and the next: they keep data that are read
/// together out of the same cache set.
pub(super) const GAP: usize = 16;

/// Elements from one tile of `channels` to the next, at a point.
pub(super) fn tile_stride<T: Dispatch>(channels: usize) -> usize {
    channels.next_multiple_of(T::lanes()) + GAP
}

/// Values at the points of tiles, `[point][tile][channel]`.
#[derive(Clone, Copy)]
pub(super) struct Points<'a, T> {
    pub data: &'a [T],
    /// Elements from one tile to the next.
    pub tile: usize,
    /// Elements from one point to the next.
    pub point: usize,
}

/// [`Points`] for writing.
pub(super) struct PointsMut<'a, T> {
    pub data: &'a mut [T],
    /// Elements from one tile to the next.
    pub tile: usize,
    /// Elements from one point to the next.
    pub point: usize,
}

impl<T> PointsMut<'_, T> {
    /// The same from element `start` on: another tile or channel.
    #[inline(always)]
    pub fn from(&mut self, start: usize) -> PointsMut<'_, T> {
        PointsMut { data: &mut self.data[start..], tile: self.tile, point: self.point }
    }

    /// The same for reading.
    #[inline(always)]
    pub fn read(&self) -> Points<'_, T> {
        Points { data: self.data, tile: self.tile, point: self.point }
    }
}

/// The extents of the product that [`multiply`] computes.
#[derive(Clone, Copy)]
pub(super) struct Extents {
    pub points: usize,
    pub tiles: usize,
    /// Channels of a tile, which the products sum over.
    pub channels: usize,
}

/// Multiplies the transformed tiles by a panel of filters `b`, at each point.
#[inline(always)]
pub(super) fn multiply<S: Simd<T: Dispatch>>(
    simd: S,
    Extents { points, tiles, channels: k }: Extents,
    transformed: Points<'_, S::T>,
    panel: Panel,
    b: &[S::T],
    products: PointsMut<'_, S::T>,
    stream: &mut PrefetchStream<'_, '_, S::T>,
) {
    for p in 0..points {
        let gemm = Brgemm::<S::T> {
            a: &transformed.data[p * transformed.point..],
            lda: transformed.tile,
            k_stride: 1,
            offsets: &[0],
            k,
            b: &b[p * k * panel.width..][..k * panel.width],
            m: tiles,
            vectors: panel.vectors,
            n: panel.width,
            lower_clamp: S::T::of(f64::NEG_INFINITY),
            prefetch_c: false,
        };
        let c = MatrixMut::new(&mut products.data[p * products.point..], panel.width, products.tile);
        gemm.run(simd, Beta::Zero, c, stream);
    }
}

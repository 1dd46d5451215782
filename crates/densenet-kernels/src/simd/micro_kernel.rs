//! What a micro-kernel computes, for any instruction set.

use crate::scalar::Precision;

/// Cache lines that the micro-kernel prefetches, one in each step along K.
#[derive(Clone, Copy, Debug)]
pub struct Prefetch {
    /// The address of the first. Nothing is read there, so it need not be valid; see [`Prefetch::nothing`].
    pub from: *const u8,
    /// Bytes from there to the next step's address.
    pub stride: usize,
}

impl Prefetch {
    /// Prefetches no more than the cache line of `operand`, which is in the cache already.
    #[inline(always)]
    pub fn nothing<T>(operand: &[T]) -> Self {
        Self { from: operand.as_ptr().cast(), stride: 0 }
    }
}

/// The initial values of the sums of a micro-tile.
#[derive(Clone, Copy, Debug)]
pub struct Initial<T> {
    /// Its first element; a null pointer stands for zeros.
    pub from: *const T,
    /// Elements from one row to the next; 0 for one value per column.
    pub ld: usize,
}

/// One micro-tile of a batch-reduce matrix product, `M` rows by `V` vectors:
///
/// `c[i][j] = max(lower_clamp, initial[i][j] + sum over o, k of a[offsets[o] + i * lda + k * k_stride] * b[o][k][j]`
///
/// with `b` packed as `[offset][K / K_GROUP][vectors * lanes][K_GROUP]`. All distances are in elements.
pub struct MicroTile<'a, P: Precision> {
    /// First row of the left operand.
    pub a: *const P::Input,
    /// Distance between rows in `a`.
    pub lda: usize,
    /// Distance between groups of K in `a`.
    pub k_stride: usize,
    /// Where in `a` each part of the batch begins.
    pub offsets: &'a [usize],
    /// Groups of K of each part.
    pub k_groups: usize,
    /// The packed right operand.
    pub b: *const P::Weight,
    /// What the sums are added to.
    pub initial: Initial<P::Accumulator>,
    /// The output.
    pub c: *mut P::Accumulator,
    /// Distance between rows in `c`.
    pub ldc: usize,
    /// Lower bound of the output: zero is a ReLU, minus infinity none.
    pub lower_clamp: P::Accumulator,
    /// What is prefetched meanwhile.
    pub prefetch: Prefetch,
}

/// The micro-kernel of one instruction set. It cannot be named outside the crate, which seals [`super::Simd`].
pub trait MicroKernel<P: Precision>: Copy {
    /// Computes `tile`, `M` rows by `V` vectors.
    ///
    /// # Safety
    /// `a` must hold all rows and groups of K from every offset on, `b` all groups of all offsets, and, unless it is null,
    /// `initial` must be valid for reads and `c` for writes of `M` rows of `V` vectors.
    #[allow(unsafe_code)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, P>);
}

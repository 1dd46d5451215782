//! The batch-reduce matrix product (Georganas et al., IPDPS 2020, arXiv 1906.06440) that every convolution is built
//! from, cut into micro-tiles that the micro-kernel holds in registers over all of K.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use super::prefetch::PrefetchStream;
use crate::memory::CACHE_LINE;
use crate::scalar::{Bf16, Precision, Scalar};
use crate::simd::strided::MatrixMut;
use crate::simd::{Initial, MAX_LANES, MicroKernel, MicroTile, Operation, Prefetch, Simd};

/// Factors of a product whose sums are floating-point numbers. Every instruction set has a micro-kernel for them.
pub(crate) trait Factors: Precision<Accumulator: Scalar> {
    /// Computes `tile`.
    ///
    /// # Safety
    /// That of [`MicroKernel::micro_kernel`].
    unsafe fn micro_kernel<S: Simd<T = Self::Accumulator>, const M: usize, const V: usize>(
        simd: S,
        tile: &MicroTile<'_, Self>,
    );
}

impl<T: Scalar> Factors for T {
    #[inline(always)]
    unsafe fn micro_kernel<S: Simd<T = T>, const M: usize, const V: usize>(simd: S, tile: &MicroTile<'_, T>) {
        // SAFETY: the caller's.
        unsafe { MicroKernel::<T>::micro_kernel::<M, V>(simd, tile) }
    }
}

impl<T: Scalar> Factors for Bf16<T> {
    #[inline(always)]
    unsafe fn micro_kernel<S: Simd<T = T>, const M: usize, const V: usize>(simd: S, tile: &MicroTile<'_, Self>) {
        // SAFETY: the caller's.
        unsafe { MicroKernel::<Self>::micro_kernel::<M, V>(simd, tile) }
    }
}

/// The initial values of a product's sums.
#[derive(Clone, Copy)]
pub(crate) enum Beta<'a, T> {
    /// Zeros.
    Zero,
    /// One value per column.
    Bias(&'a [T]),
    /// The current content of the output.
    One,
}

/// `c[i][j] = max(lower_clamp, beta + sum over o, k of a[offsets[o] + i * lda + k * k_stride] * b[(o * K + k) * width + j]`
///
/// for `i` below `m` and `j` below `n`, where `width` is that of a panel of `vectors`. All distances are in elements. Either
/// `lda` or `k_stride` is 1: rows are pixels and K is channels (forward, backward data), or rows are channels and K is pixels
/// (backward weights).
pub(crate) struct Brgemm<'a, P: Precision> {
    /// Left operand.
    pub a: &'a [P::Input],
    /// Distance between rows in `a`.
    pub lda: usize,
    /// Distance between steps along K in `a`.
    pub k_stride: usize,
    /// Where in `a` each part of the batch begins.
    pub offsets: &'a [usize],
    /// Steps along K of each part, a multiple of [`Precision::K_GROUP`].
    pub k: usize,
    /// Right operand, `[offset][K / K_GROUP][vectors * lanes][K_GROUP]`.
    pub b: &'a [P::Weight],
    /// Rows of the output.
    pub m: usize,
    /// Width of the panel `b` in vectors, 1 to 3.
    pub vectors: usize,
    /// Columns of the output, at most the panel's.
    pub n: usize,
    /// Lower bound of the output: zero is a ReLU, minus infinity none.
    pub lower_clamp: P::Accumulator,
    /// Whether the output is prefetched before it is stored: if it is not in the cache, stores would wait for it.
    pub prefetch_c: bool,
}

impl<P: Factors> Brgemm<'_, P> {
    /// Computes into `c`, while prefetching the lines of `prefetch`.
    ///
    /// # Panics
    /// If an operand is too short.
    #[inline(always)]
    pub fn run<S: Simd<T = P::Accumulator>>(
        &self,
        simd: S,
        beta: Beta<'_, P::Accumulator>,
        c: MatrixMut<'_, P::Accumulator>,
        prefetch: &mut PrefetchStream<'_, '_, P::Accumulator>,
    ) {
        self.check::<S>(&c);
        simd.run(Run { gemm: self, output: Output { beta, c, prefetch } });
    }

    /// Checks that every access of the micro-kernel is within its operands.
    #[inline(always)]
    fn check<S: Simd<T = P::Accumulator>>(&self, c: &MatrixMut<'_, P::Accumulator>) {
        let width = self.vectors * S::LANES;
        assert!(self.k_stride == 1 || self.lda == 1, "rows or K must be contiguous");
        assert!(self.k_stride == 1 || P::K_GROUP == 1, "groups along K must be contiguous");
        assert!((1..=3).contains(&self.vectors) && self.n <= width, "{} columns in {} vectors", self.n, self.vectors);
        assert!(self.m >= 1 && self.k >= 1 && !self.offsets.is_empty(), "a product without rows or without K");
        assert_eq!(self.k % P::K_GROUP, 0, "K in whole groups");
        let reach = (self.m - 1) * self.lda + (self.k - 1) * self.k_stride;
        assert!(self.offsets.iter().all(|&offset| offset + reach < self.a.len()), "left operand is too short");
        assert!(self.offsets.len() * self.k * width <= self.b.len(), "right operand is too short");
        assert!(self.m <= c.rows() && self.n <= c.columns(), "output is too small");
    }
}

/// Most vectors of a micro-tile of any instruction set.
pub(super) const MAX_TILE_VECTORS: usize = 28;

/// Memory of a micro-tile, aligned to a cache line.
#[repr(align(64))]
struct TileMemory<T>([MaybeUninit<T>; MAX_TILE_VECTORS * MAX_LANES]);

/// The destination of a product, its initial values, and what is prefetched meanwhile.
struct Output<'a, 'b, 'c, T> {
    beta: Beta<'a, T>,
    c: MatrixMut<'a, T>,
    prefetch: &'a mut PrefetchStream<'b, 'c, T>,
}

/// A product whose operands have been checked; compiled once per instruction set, not once for each of its many
/// callers.
struct Run<'a, 'b, 'c, 'd, P: Factors> {
    gemm: &'a Brgemm<'a, P>,
    output: Output<'b, 'c, 'd, P::Accumulator>,
}

impl<P: Factors> Operation<P::Accumulator> for Run<'_, '_, '_, '_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = P::Accumulator>>(self, simd: S) {
        let Self { gemm, output } = self;
        macro_rules! rows {
            ($vectors:literal $by_channel:literal) => {
                in_micro_tiles::<S, $vectors>(simd, gemm.m, &mut Rows::<P, $vectors, $by_channel> { gemm, output })
            };
        }
        match (gemm.k_stride, gemm.vectors) {
            (1, 1) => rows!(1 false),
            (1, 2) => rows!(2 false),
            (1, _) => rows!(3 false),
            (_, 1) => rows!(1 true),
            (_, 2) => rows!(2 true),
            (_, _) => rows!(3 true),
        }
    }
}

/// Work on micro-tiles that all have the same height.
pub(super) trait OfHeight<S> {
    /// Works on `tiles` micro-tiles of `M` rows, from row `first` on.
    fn run<const M: usize>(&mut self, simd: S, first: usize, tiles: usize);
}

/// Cuts `m` rows into micro-tiles of `V` vectors, whose heights differ by at most one row.
#[inline(always)]
pub(super) fn in_micro_tiles<S: Simd, const V: usize>(simd: S, m: usize, work: &mut impl OfHeight<S>) {
    let tiles = m.div_ceil(S::ROWS[V - 1]);
    let (height, higher) = (m / tiles, m % tiles);
    for (height, first, tiles) in [(height + 1, 0, higher), (height, higher * (height + 1), tiles - higher)] {
        macro_rules! of_height {
            ($($m:literal)*) => {
                match height {
                    _ if tiles == 0 => {}
                    $($m if const { $m <= S::ROWS[V - 1] } => work.run::<$m>(simd, first, tiles),)*
                    _ => unreachable!("no more than a micro-tile's rows"),
                }
            };
        }
        of_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}

/// A product's rows as micro-tiles of `V` vectors.
struct Rows<'a, 'b, 'c, 'd, P: Factors, const V: usize, const BY_CHANNEL: bool> {
    gemm: &'a Brgemm<'a, P>,
    output: Output<'b, 'c, 'd, P::Accumulator>,
}

impl<P: Factors, S: Simd<T = P::Accumulator>, const V: usize, const BY_CHANNEL: bool> OfHeight<S>
    for Rows<'_, '_, '_, '_, P, V, BY_CHANNEL>
{
    #[inline(always)]
    fn run<const M: usize>(&mut self, simd: S, first: usize, tiles: usize) {
        let Self { gemm, output } = self;
        simd.run(MicroTiles::<P, M, V, BY_CHANNEL> { gemm, output, first, tiles });
    }
}

/// Micro-tiles of `M` rows by `V` vectors, from row `first` on; compiled once per instruction set.
struct MicroTiles<'a, 'b, 'c, 'd, P: Factors, const M: usize, const V: usize, const BY_CHANNEL: bool> {
    gemm: &'a Brgemm<'a, P>,
    output: &'a mut Output<'b, 'c, 'd, P::Accumulator>,
    first: usize,
    tiles: usize,
}

impl<P: Factors, const M: usize, const V: usize, const BY_CHANNEL: bool> Operation<P::Accumulator>
    for MicroTiles<'_, '_, '_, '_, P, M, V, BY_CHANNEL>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = P::Accumulator>>(self, simd: S) {
        let Self { gemm, output, first, tiles } = self;
        // A distance of 1 is a constant to the compiler.
        let (lda, k_stride) = if BY_CHANNEL { (1, gemm.k_stride) } else { (gemm.lda, P::K_GROUP) };
        let k_groups = gemm.k / P::K_GROUP;
        for first in (first..).step_by(M).take(tiles) {
            let tile = MicroTile {
                a: gemm.a[first * lda..].as_ptr(),
                lda,
                k_stride,
                offsets: gemm.offsets,
                k_groups,
                b: gemm.b.as_ptr(),
                initial: Initial { from: std::ptr::null(), ld: 0 },
                c: std::ptr::null_mut(),
                ldc: 0,
                lower_clamp: gemm.lower_clamp,
                prefetch: output.prefetch.take(gemm.offsets.len() * k_groups, Prefetch::nothing(gemm.b)),
            };
            if gemm.prefetch_c {
                output.prefetch_c::<S, M, V>(simd, first);
            }
            match gemm.n < V * S::LANES {
                true => output.edge_tile::<P, S, M, V>(simd, gemm, first, tile),
                false => output.whole_tile::<P, S, M, V>(simd, first, tile),
            }
        }
    }
}

impl<T: Scalar> Output<'_, '_, '_, T> {
    /// Prefetches `M` rows of the output from row `first` on.
    #[inline(always)]
    fn prefetch_c<S: Simd<T = T>, const M: usize, const V: usize>(&self, simd: S, first: usize) {
        for row in first..first + M {
            for line in (0..V * S::LANES).step_by(CACHE_LINE / size_of::<T>()) {
                simd.prefetch(self.c.address(row, line));
            }
        }
    }

    /// Computes `M` rows from row `first` on, where all vectors are whole.
    #[inline(always)]
    fn whole_tile<P: Factors<Accumulator = T>, S: Simd<T = T>, const M: usize, const V: usize>(
        &mut self,
        simd: S,
        first: usize,
        tile: MicroTile<'_, P>,
    ) {
        let (c, ldc) = (self.c.row(first)[..V * S::LANES].as_mut_ptr(), self.c.ld());
        let initial = match self.beta {
            Beta::Zero => Initial { from: std::ptr::null(), ld: 0 },
            Beta::Bias(bias) => Initial { from: bias[..V * S::LANES].as_ptr(), ld: 0 },
            Beta::One => Initial { from: c.cast_const(), ld: ldc },
        };
        // SAFETY: `check` saw that every offset plus the reach of all rows and of K lies inside `a`, that `b` has all of K
        // of all offsets in rows of `V` vectors, and that `c` has as many rows and columns.
        unsafe { P::micro_kernel::<S, M, V>(simd, &MicroTile { initial, c, ldc, ..tile }) };
    }

    /// Computes `M` rows from row `first` on through a tile of whole vectors, because the output's last vector is not
    /// whole.
    #[inline(always)]
    fn edge_tile<P: Factors<Accumulator = T>, S: Simd<T = T>, const M: usize, const V: usize>(
        &mut self,
        simd: S,
        gemm: &Brgemm<'_, P>,
        first: usize,
        tile: MicroTile<'_, P>,
    ) {
        let (mut memory, width) =
            (TileMemory::<T>([const { MaybeUninit::uninit() }; MAX_TILE_VECTORS * MAX_LANES]), V * S::LANES);
        let memory = &mut memory.0[..M * width];
        let c = memory.as_mut_ptr().cast::<T>();
        let whole = MicroTile { c, ldc: width, lower_clamp: T::neg_infinity(), ..tile };
        // SAFETY: `check` saw that all reads lie inside `a` and `b`; `memory` has `M` rows of `width` elements, all of which
        // are written before they are read.
        let sums = unsafe {
            P::micro_kernel::<S, M, V>(simd, &whole);
            std::slice::from_raw_parts(c, M * width)
        };
        let lower_clamp = simd.splat(gemm.lower_clamp);
        for (i, sums) in sums.chunks_exact(width).enumerate() {
            let row = self.c.row(first + i);
            for start in (0..gemm.n).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(gemm.n);
                let (sum, to) = (simd.load(&sums[start..]), &mut row[lanes.clone()]);
                let sum = match self.beta {
                    Beta::Zero => sum,
                    Beta::Bias(bias) => simd.add(sum, simd.load(&bias[lanes])),
                    Beta::One => simd.add(sum, simd.load(to)),
                };
                simd.store(simd.max(lower_clamp, sum), to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_traits::ToPrimitive;

    use crate::gemm::heights;
    use crate::simd::{Dispatch, Isa};

    /// Every number of rows and vectors, both orders, tails, betas and lower clamps, against a plain sum.
    struct AgainstPlainSums;

    const SENTINEL: f64 = 1e9;

    impl<T: Scalar> Operation<T> for AgainstPlainSums {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T = T>>(self, simd: S) {
            for vectors in 1..=3 {
                for m in heights(S::ROWS[vectors - 1]) {
                    for n in [1, S::LANES * vectors - 1, S::LANES * vectors] {
                        for (lda, k_stride) in [(11, 1), (1, 17)] {
                            check::<T, _, S>(simd, Case { m, vectors, n, lda, k_stride }, T::of);
                        }
                        let case = Case { m, vectors, n, lda: 11, k_stride: 1 };
                        check::<Bf16<T>, _, S>(simd, case, |value| T::of(value).bf16());
                    }
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Case {
        m: usize,
        vectors: usize,
        n: usize,
        lda: usize,
        k_stride: usize,
    }

    fn values<T: Scalar>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.5)).collect()
    }

    /// Compares a product of factors, which `rounded` makes, with a plain sum of them.
    fn check<P, F, S>(simd: S, case: Case, rounded: impl Fn(f64) -> F)
    where
        F: Copy + ToPrimitive,
        P: Factors<Input = F, Weight = F>,
        S: Simd<T = P::Accumulator>,
    {
        let Case { m, vectors, n, lda, k_stride } = case;
        let (offsets, k, ldc) = ([3, 0, 40], 6, n + 2);
        let factors = |n, seed| values::<f64>(n, seed).into_iter().map(&rounded).collect::<Vec<_>>();
        let exact = |factor: F| factor.to_f64().unwrap();
        let width = vectors * S::LANES;
        let reach = 40 + (m - 1) * lda + (k - 1) * k_stride;
        let a = factors(reach + 1, 1);
        let b = factors(offsets.len() * k * width, 2);
        let bias = values::<S::T>(n, 3);
        let before = values::<S::T>((m - 1) * ldc + n, 4);
        for (kind, lower_clamp) in [(0, f64::NEG_INFINITY), (1, 0.0), (2, f64::NEG_INFINITY)] {
            let mut c = before.clone();
            c.push(S::T::of(SENTINEL));
            let beta = match kind {
                0 => Beta::Zero,
                1 => Beta::Bias(&bias),
                _ => Beta::One,
            };
            let (lower_clamp, mut runs) = (S::T::of(lower_clamp), [&bias[..]].into_iter());
            let prefetch_c = kind == 1;
            let gemm = Brgemm::<P> {
                a: &a,
                lda,
                k_stride,
                offsets: &offsets,
                k,
                b: &b,
                m,
                vectors,
                n,
                lower_clamp,
                prefetch_c,
            };
            gemm.run(simd, beta, MatrixMut::new(&mut c, n, ldc), &mut PrefetchStream::new(&mut runs));
            for (i, &got) in c.iter().enumerate() {
                let (y, x) = (i / ldc, i % ldc);
                if x >= n || i == before.len() {
                    let kept = before.get(i).map_or(SENTINEL, |v| v.f64());
                    assert_eq!(got.f64(), kept, "element {i} lies outside the product");
                    continue;
                }
                let mut sum = [0.0, bias[x].f64(), before[i].f64()][kind];
                for (o, offset) in offsets.iter().enumerate() {
                    for k_here in 0..k {
                        let group = (o * k + k_here) / P::K_GROUP;
                        let place = (group * width + x) * P::K_GROUP + k_here % P::K_GROUP;
                        sum += exact(a[offset + y * lda + k_here * k_stride]) * exact(b[place]);
                    }
                }
                assert!((got.f64() - sum.max(lower_clamp.f64())).abs() < 1e-5, "row {y} column {x}: {got} for {sum}");
            }
        }
    }

    #[test]
    fn products_are_plain_sums() {
        for isa in Isa::available() {
            isa.thread_pool(1).unwrap().install(|| f32::dispatch(AgainstPlainSums));
        }
        f64::dispatch(AgainstPlainSums);
    }
}

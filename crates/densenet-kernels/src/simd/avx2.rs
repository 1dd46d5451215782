//! AVX2 and FMA: 8 lanes of `f32`, 16 registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::micro_kernel::{MicroKernel, MicroTile};
use super::vector::{Operation, Simd};
use super::{plain_bf16_kernel, plain_micro_kernel};
use crate::scalar::Bf16;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2 {
    /// Whether it also has AVX-VNNI.
    vnni: bool,
}

impl Avx2 {
    /// The proof, if it holds.
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        there.then(|| Self { vnni: is_x86_feature_detected!("avxvnni") })
    }

    /// Whether the processor multiplies groups of bytes.
    pub(super) fn has_vnni(self) -> bool {
        self.vnni
    }
}

const LANES: usize = 8;

/// Ones in the lowest `n` lanes: a window into ones followed by zeros.
#[inline(always)]
fn first(n: usize) -> __m256i {
    const WINDOW: [i32; 2 * LANES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let start = LANES - n.min(LANES);
    // SAFETY: `start` is at most 8, so eight elements follow; `Avx2` exists only where the features are.
    unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(start).cast()) }
}

/// Stores lanes to the elements of `to`, fewer than a vector's: four, two and one at a time, since AMD's processors are
/// slow at masked stores.
#[inline(always)]
fn store_part(value: __m256, to: &mut [f32]) {
    let mut at = to.as_mut_ptr();
    // SAFETY: the features are there; what is stored adds up to the slice's length, and `at` moves on by as much.
    unsafe {
        let mut lanes = _mm256_castps256_ps128(value);
        if to.len() & 4 != 0 {
            _mm_storeu_ps(at, lanes);
            lanes = _mm256_extractf128_ps::<1>(value);
            at = at.add(4);
        }
        if to.len() & 2 != 0 {
            _mm_storel_pd(at.cast(), _mm_castps_pd(lanes));
            lanes = _mm_movehl_ps(lanes, lanes);
            at = at.add(2);
        }
        if to.len() & 1 != 0 {
            _mm_store_ss(at, lanes);
        }
    }
}

// In every method below: SAFETY: `Avx2` exists only where `detect` found the features.
impl Simd for Avx2 {
    type T = f32;
    type V = __m256;
    const LANES: usize = LANES;
    const ROWS: [usize; 3] = [10, 6, 3];
    const CACHE: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        if from.len() >= LANES {
            // SAFETY: the features are there, and the slice has the elements.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        } else {
            // SAFETY: the features are there, and the mask stops at the slice's end.
            unsafe { _mm256_maskload_ps(from.as_ptr(), first(from.len())) }
        }
    }

    #[inline(always)]
    fn store(self, value: __m256, to: &mut [f32]) {
        if to.len() >= LANES {
            // SAFETY: the features are there, and the slice has the elements.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
        } else {
            store_part(value, to);
        }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, bound: __m256, value: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_max_ps(bound, value) }
    }

    #[inline(always)]
    fn select_gt(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }

    #[inline(always)]
    fn select_le(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LE_OQ>(a, b)) }
    }

    #[inline(always)]
    fn prefetch<A>(self, address: *const A) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn prefetch_l2<A>(self, address: *const A) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    unsafe fn load_unchecked(self, from: *const f32) -> __m256 {
        // SAFETY: the features are there; the caller vouches for the elements.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_unchecked(self, value: __m256, to: *mut f32) {
        // SAFETY: the features are there; the caller vouches for the elements.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline]
    fn run<O: Operation<f32>>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: Operation<f32>>(simd: Avx2, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the features are there.
        unsafe { inner(self, operation) }
    }
}

impl MicroKernel<f32> for Avx2 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, f32>) {
        // SAFETY: the caller's.
        unsafe { plain_micro_kernel::micro_kernel::<Self, M, V>(self, tile) }
    }
}

impl MicroKernel<Bf16<f32>> for Avx2 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Bf16<f32>>) {
        // SAFETY: the caller's.
        unsafe { plain_bf16_kernel::micro_kernel::<f32, M, V>(Self::LANES, tile) }
    }
}

//! AVX-512: 16 lanes of `f32`, 32 registers, masked tails.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::bf16;

use super::avx512_micro_kernel;
use super::micro_kernel::{MicroKernel, MicroTile};
use super::plain_bf16_kernel;
use super::vector::{Operation, Simd};
use crate::scalar::Bf16;

/// Proof that the processor has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(super) struct Avx512 {
    /// Whether it also has VNNI.
    vnni: bool,
    /// Whether it also has BF16.
    bf16: bool,
}

impl Avx512 {
    /// The proof, if it holds.
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        there.then(|| Self {
            vnni: is_x86_feature_detected!("avx512vnni"),
            bf16: is_x86_feature_detected!("avx512bf16"),
        })
    }

    /// Whether the processor multiplies groups of bytes.
    pub(super) fn has_vnni(self) -> bool {
        self.vnni
    }
}

const LANES: usize = 16;

/// The lowest `n` lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n.min(LANES)) - 1) as __mmask16
}

// In every method below: SAFETY: `Avx512` exists only where `detect` found the features.
impl Simd for Avx512 {
    type T = f32;
    type V = __m512;
    const LANES: usize = LANES;
    const ROWS: [usize; 3] = [14, 14, 9];
    const CACHE: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        if from.len() >= LANES {
            // SAFETY: the features are there, and the slice has the elements.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        } else {
            // SAFETY: the features are there, and the mask stops at the slice's end.
            unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) }
        }
    }

    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32]) {
        if to.len() >= LANES {
            // SAFETY: the features are there, and the slice has the elements.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
        } else {
            // SAFETY: the features are there, and the mask stops at the slice's end.
            unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), value) }
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, bound: __m512, value: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_max_ps(bound, value) }
    }

    #[inline(always)]
    fn select_gt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
    }

    #[inline(always)]
    fn select_le(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b), no, yes) }
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
    unsafe fn load_unchecked(self, from: *const f32) -> __m512 {
        // SAFETY: the features are there; the caller vouches for the elements.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_unchecked(self, value: __m512, to: *mut f32) {
        // SAFETY: the features are there; the caller vouches for the elements.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn multiplies_bf16(self) -> bool {
        self.bf16
    }

    #[inline(always)]
    fn round_to_bf16(self, from: &[f32], to: &mut [bf16]) {
        assert_eq!(from.len(), to.len(), "as many are rounded");
        match self.bf16 {
            // SAFETY: the feature is there.
            true => unsafe { round_to_bf16(from, to) },
            false => to.iter_mut().zip(from).for_each(|(to, &from)| *to = bf16::from_f32(from)),
        }
    }

    #[inline]
    fn run<O: Operation<f32>>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma,avx2")]
        fn inner<O: Operation<f32>>(simd: Avx512, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the features are there; AVX-512 implies FMA and AVX2.
        unsafe { inner(self, operation) }
    }
}

impl MicroKernel<f32> for Avx512 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, f32>) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe { avx512_micro_kernel::micro_kernel::<M, V>(tile) }
    }
}

impl MicroKernel<Bf16<f32>> for Avx512 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Bf16<f32>>) {
        // SAFETY: the feature is there where the first is called; the rest is the caller's.
        unsafe {
            match self.bf16 {
                true => avx512_micro_kernel::bf16_micro_kernel::<M, V>(tile),
                false => plain_bf16_kernel::micro_kernel::<f32, M, V>(LANES, tile),
            }
        }
    }
}

/// [`Simd::round_to_bf16`] for two slices of the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn round_to_bf16(from: &[f32], to: &mut [bf16]) {
    for (from, to) in from.chunks(LANES).zip(to.chunks_mut(LANES)) {
        let lanes = first(from.len());
        // SAFETY: the masks stop at the slices' ends, and a `bf16` is sixteen bits.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, from.as_ptr()));
            _mm256_mask_storeu_epi16(to.as_mut_ptr().cast(), lanes, std::mem::transmute::<__m256bh, __m256i>(rounded));
        }
    }
}

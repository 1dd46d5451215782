//! 8-bit integers with AVX2: eight lanes, and micro-kernels that multiply pairs of words or, if the processor has
//! AVX-VNNI, groups of bytes.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::integer::{Bytes, IntegerOperation, IntegerSimd, Words};
use super::micro_kernel::{MicroKernel, MicroTile};
use super::plain_integer_kernel;
use super::vector::Simd;
use crate::scalar::Precision;

// In every method below: SAFETY: `Avx2` exists only where its features were detected; the caller vouches for the
// elements, and partial vectors go through an array.
impl IntegerSimd for Avx2 {
    #[inline(always)]
    fn multiplies_bytes(self) -> bool {
        self.has_vnni()
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the features are there.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, lanes: usize) -> __m256 {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let bytes = match lanes >= Self::LANES {
                true => _mm_loadl_epi64(from.cast()),
                false => {
                    let mut part = [0u8; Self::LANES];
                    std::ptr::copy_nonoverlapping(from, part.as_mut_ptr(), lanes);
                    _mm_loadl_epi64(part.as_ptr().cast())
                }
            };
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32, lanes: usize) -> __m256 {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let values = match lanes >= Self::LANES {
                true => _mm256_loadu_si256(from.cast()),
                false => {
                    let mut part = [0i32; Self::LANES];
                    std::ptr::copy_nonoverlapping(from, part.as_mut_ptr(), lanes);
                    _mm256_loadu_si256(part.as_ptr().cast())
                }
            };
            _mm256_cvtepi32_ps(values)
        }
    }

    #[inline(always)]
    unsafe fn store_u8(self, value: __m256, to: *mut u8, lanes: usize) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let words = in_words(value);
            let bytes = _mm_packus_epi16(words, words);
            match lanes >= Self::LANES {
                true => _mm_storel_epi64(to.cast(), bytes),
                false => {
                    let mut part = [0u8; Self::LANES];
                    _mm_storel_epi64(part.as_mut_ptr().cast(), bytes);
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, lanes);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn store_i16(self, value: __m256, to: *mut i16, lanes: usize) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let words = in_words(value);
            match lanes >= Self::LANES {
                true => _mm_storeu_si128(to.cast(), words),
                false => {
                    let mut part = [0i16; Self::LANES];
                    _mm_storeu_si128(part.as_mut_ptr().cast(), words);
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, lanes);
                }
            }
        }
    }

    #[inline]
    fn run_integers<O: IntegerOperation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: IntegerOperation>(simd: Avx2, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the features are there.
        unsafe { inner(self, operation) }
    }
}

/// Lanes from 0 to 255, rounded, as words.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn in_words(value: __m256) -> __m128i {
    // SAFETY: the caller's.
    unsafe {
        let integers = _mm256_cvtps_epi32(value);
        _mm_packus_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256::<1>(integers))
    }
}

/// A micro-kernel whose `$multiply` adds the products of the groups of a row with those of a vector of columns to sums.
macro_rules! micro_kernel {
    ($(#[$about:meta])* $name:ident, $features:literal, $precision:ty, $multiply:expr) => {
        $(#[$about])*
        ///
        /// # Safety
        /// That of [`MicroKernel::micro_kernel`], and the processor has what the kernel is compiled for.
        #[target_feature(enable = $features)]
        unsafe fn $name<const M: usize, const V: usize>(tile: &MicroTile<'_, $precision>) {
            let &MicroTile { a, lda, k_stride, offsets, k_groups, mut b, c, ldc, .. } = tile;
            let mut sums = [[_mm256_setzero_si256(); V]; M];
            for &offset in offsets {
                for k in 0..k_groups {
                    // SAFETY: the caller vouches that all of it lies inside the operands.
                    unsafe {
                        let a = a.add(offset + k * k_stride);
                        let mut columns = [_mm256_setzero_si256(); V];
                        for (v, column) in columns.iter_mut().enumerate() {
                            *column = _mm256_loadu_si256(b.cast::<__m256i>().add(v));
                        }
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let group = _mm256_set1_epi32(a.add(i * lda).cast::<i32>().read_unaligned());
                            for (sum, &column) in sums.iter_mut().zip(&columns) {
                                *sum = $multiply(*sum, group, column);
                            }
                        }
                        b = b.add(V * Avx2::LANES * <$precision>::K_GROUP);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    // SAFETY: the caller vouches for `M` rows of `V` vectors.
                    unsafe { _mm256_storeu_si256(c.add(i * ldc + v * Avx2::LANES).cast(), sum) };
                }
            }
        }
    };
}

micro_kernel!(
    /// Pairs of words.
    of_words, "avx2,fma", Words, |sum, group, column| _mm256_add_epi32(sum, _mm256_madd_epi16(group, column))
);

micro_kernel!(
    /// Groups of bytes.
    of_bytes, "avx2,fma,avxvnni", Bytes, |sum, group, column| _mm256_dpbusd_avx_epi32(sum, group, column)
);

impl MicroKernel<Words> for Avx2 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Words>) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe { of_words::<M, V>(tile) }
    }
}

impl MicroKernel<Bytes> for Avx2 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Bytes>) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            match self.has_vnni() {
                true => of_bytes::<M, V>(tile),
                false => plain_integer_kernel::micro_kernel::<Bytes, M, V>(Self::LANES, tile),
            }
        }
    }
}

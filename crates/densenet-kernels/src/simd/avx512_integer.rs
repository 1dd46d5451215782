//! 8-bit integers with AVX-512: sixteen lanes, and the micro-kernel in assembly, like that for floats.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::offset_of;

use super::avx512::Avx512;
use super::avx512_micro_kernel::PREFETCH_DISTANCE;
use super::avx512_tiles::{in_registers, point, store, zero};
use super::integer::{Bytes, IntegerOperation, IntegerSimd, Words};
use super::micro_kernel::{MicroKernel, MicroTile};
use super::plain_integer_kernel;
use super::vector::Simd;
use crate::scalar::Precision;

/// The lowest `n` lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n.min(Avx512::LANES)) - 1) as __mmask16
}

// In every method below: SAFETY: `Avx512` exists only where its features were detected; the caller vouches for the elements,
// and masks stop at the last of them.
impl IntegerSimd for Avx512 {
    #[inline(always)]
    fn multiplies_bytes(self) -> bool {
        self.has_vnni()
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the features are there.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, lanes: usize) -> __m512 {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let bytes = match lanes >= Self::LANES {
                true => _mm_loadu_si128(from.cast()),
                false => _mm_maskz_loadu_epi8(first(lanes), from.cast()),
            };
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32, lanes: usize) -> __m512 {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe { _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(first(lanes), from)) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, value: __m512, to: *mut u8, lanes: usize) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
            match lanes >= Self::LANES {
                true => _mm_storeu_si128(to.cast(), bytes),
                false => _mm_mask_storeu_epi8(to.cast(), first(lanes), bytes),
            }
        }
    }

    #[inline(always)]
    unsafe fn store_i16(self, value: __m512, to: *mut i16, lanes: usize) {
        // SAFETY: the features are there; the rest is the caller's.
        unsafe {
            let words = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value));
            match lanes >= Self::LANES {
                true => _mm256_storeu_si256(to.cast(), words),
                false => _mm256_mask_storeu_epi16(to, first(lanes), words),
            }
        }
    }

    #[inline]
    fn run_integers<O: IntegerOperation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma,avx2")]
        fn inner<O: IntegerOperation>(simd: Avx512, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the features are there; AVX-512 implies FMA and AVX2.
        unsafe { inner(self, operation) }
    }
}

/// Multiplies and adds one row: broadcasts a group of its values and adds the products with each vector's to its sum.
macro_rules! row {
    (bytes $spare:literal $i:literal $address:literal $($sum:literal $column:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\nvpbroadcastd zmm31, dword ptr [", $address, "]\n",
            $("vpdpbusd ", $sum, ", zmm31, ", $column, "\n",)*
            ".endif",
        )
    };
    (words $spare:literal $i:literal $address:literal $($sum:literal $column:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\nvpbroadcastd zmm31, dword ptr [", $address, "]\n",
            $(
                "vpmaddwd ", $spare, ", zmm31, ", $column, "\n",
                "vpaddd ", $sum, ", ", $sum, ", ", $spare, "\n",
            )*
            ".endif",
        )
    };
}

/// Bytes of a group of values along K.
const GROUP: usize = 4;

/// Arguments that the kernel reads seldom enough to keep them in memory; distances in bytes.
struct Arguments<T> {
    offsets_end: *const usize,
    k_groups: usize,
    a: *const T,
    c: *mut i32,
    ldc: usize,
}

impl<P: Precision<Accumulator = i32>> From<&MicroTile<'_, P>> for Arguments<P::Input> {
    #[inline(always)]
    fn from(tile: &MicroTile<'_, P>) -> Self {
        let &MicroTile { a, offsets, k_groups, c, ldc, .. } = tile;
        Self { offsets_end: offsets.as_ptr_range().end, k_groups, a, c, ldc: size_of::<i32>() * ldc }
    }
}

/// The kernel for a number of vectors: loads of the columns, then the rows.
macro_rules! kernel {
    (
        $kind:ident $element:ident $shift:literal $tile:ident, $width:literal, $spare:literal, [$($load:literal)*]
        $($i:literal $address:literal { $($sum:literal $column:literal $place:literal;)* })*
    ) => {{
        let arguments = Arguments::from($tile);
        let lda = size_of::<$element>() * $tile.lda;
        // SAFETY: the caller vouches that all rows of all groups of all offsets lie inside the operands, and for the rows of
        // `c`; only pointers inside them are read and written through. Every register that is written is named.
        unsafe {
            asm!(
                $(zero!($i $($sum)*),)*
                "2:",
                "mov {p0}, qword ptr [{offsets}]",
                concat!("shl {p0}, ", $shift),
                "add {p0}, qword ptr [{arguments} + {a}]",
                point!(),
                "mov {k}, qword ptr [{arguments} + {k_groups}]",
                "3:",
                $($load,)*
                $(row!($kind $spare $i $address $($sum $column)*),)*
                concat!("add {b}, ", $width),
                "add {p0}, {group}",
                "add {p1}, {group}",
                "add {p2}, {group}",
                "dec {k}",
                "jnz 3b",
                "add {offsets}, 8",
                "cmp {offsets}, qword ptr [{arguments} + {offsets_end}]",
                "jne 2b",
                "mov {p0}, qword ptr [{arguments} + {c}]",
                "mov {lda}, qword ptr [{arguments} + {ldc}]",
                "lea {lda3}, [{lda} + 2*{lda}]",
                point!(),
                $(store!($i $address $($sum $place)*),)*
                m = const M,
                group = const GROUP,
                distance = const PREFETCH_DISTANCE,
                offsets_end = const offset_of!(Arguments<$element>, offsets_end),
                k_groups = const offset_of!(Arguments<$element>, k_groups),
                a = const offset_of!(Arguments<$element>, a),
                c = const offset_of!(Arguments<$element>, c),
                ldc = const offset_of!(Arguments<$element>, ldc),
                offsets = inout(reg) $tile.offsets.as_ptr() => _,
                b = inout(reg) $tile.b => _,
                lda = inout(reg) lda => _,
                lda3 = inout(reg) 3 * lda => _,
                arguments = in(reg) &raw const arguments,
                k = out(reg) _, p0 = out(reg) _, p1 = out(reg) _, p2 = out(reg) _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
                out("zmm30") _, out("zmm31") _,
                options(nostack),
            );
        }
    }};
}

impl MicroKernel<Bytes> for Avx512 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Bytes>) {
        if !self.has_vnni() {
            // SAFETY: the caller's.
            return unsafe { plain_integer_kernel::micro_kernel::<Bytes, M, V>(Self::LANES, tile) };
        }
        in_registers!(kernel (bytes u8 0) tile V)
    }
}

impl MicroKernel<Words> for Avx512 {
    #[inline(always)]
    unsafe fn micro_kernel<const M: usize, const V: usize>(self, tile: &MicroTile<'_, Words>) {
        in_registers!(kernel (words i16 1) tile V)
    }
}

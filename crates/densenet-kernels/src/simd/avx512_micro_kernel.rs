//! The micro-kernel in AVX-512 assembly.
//!
//! It holds [28 sums in registers](super::avx512_tiles) and stores them from there to their destination. Compilers
//! hoist broadcasts until sums spill to the stack, which was measured to cost two thirds of the speed; in assembly
//! every instruction stays where it is.
#![allow(unsafe_code)]

use std::arch::asm;
use std::mem::offset_of;

use half::bf16;

use super::avx512_tiles::{in_registers, point, store, zero};
use super::micro_kernel::MicroTile;
use crate::scalar::Bf16;

/// Arguments that the kernel reads seldom enough to keep them in memory; distances in bytes.
struct Arguments<T> {
    offsets_end: *const usize,
    k_groups: usize,
    a: *const T,
    initial: *const f32,
    initial_ld: usize,
    c: *mut f32,
    ldc: usize,
    /// The lower clamp, if there is one.
    lower_clamp: f32,
    has_lower_clamp: u32,
}

/// Bytes from a load of the right operand to the line that is prefetched with it: weights come from memory once per
/// forward pass, and the processor's own prefetcher stops at the end of every 4 KiB page.
pub(super) const PREFETCH_DISTANCE: usize = 8192;

/// Multiplies and adds one row: broadcasts its value, or pair of values, and adds the products with each vector to its sum.
macro_rules! row {
    ($multiply:literal $i:literal $address:literal $($sum:literal $column:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\nvbroadcastss zmm31, dword ptr [", $address, "]\n",
            $($multiply, " ", $sum, ", zmm31, ", $column, "\n",)*
            ".endif",
        )
    };
}

/// Adds a row's initial values.
macro_rules! initial {
    ($i:literal $address:literal $($sum:literal $place:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\n",
            $("vaddps ", $sum, ", ", $sum, ", zmmword ptr [", $address, " + ", $place, "]\n",)*
            ".endif",
        )
    };
}

/// Bounds a row from below; NaN stays NaN.
macro_rules! lower_clamp {
    ($i:literal $($sum:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vmaxps ", $sum, ", zmm31, ", $sum, "\n",)* ".endif")
    };
}

/// Points at rows from the pointer that `arguments` holds at `$pointer` on, at the distance that it holds at `$ld`.
macro_rules! point_at {
    ($pointer:literal $ld:literal) => {
        concat!(
            "mov {p0}, qword ptr [{arguments} + ",
            $pointer,
            "]\nmov {lda}, qword ptr [{arguments} + ",
            $ld,
            "]\n",
            "lea {lda3}, [{lda} + 2*{lda}]\n",
            point!(),
        )
    };
}

/// The kernel for a number of vectors: loads of the columns, then the rows.
macro_rules! kernel {
    (
        $multiply:literal $element:ident $shift:literal $tile:ident, $width:literal, $spare:literal, [$($load:literal)*]
        $($i:literal $address:literal { $($sum:literal $column:literal $place:literal;)* })*
    ) => {{
        let size = size_of::<$element>();
        let arguments = Arguments {
            offsets_end: $tile.offsets.as_ptr_range().end,
            k_groups: $tile.k_groups,
            a: $tile.a,
            initial: $tile.initial.from,
            initial_ld: 4 * $tile.initial.ld,
            c: $tile.c,
            ldc: 4 * $tile.ldc,
            lower_clamp: $tile.lower_clamp,
            has_lower_clamp: ($tile.lower_clamp > f32::NEG_INFINITY).into(),
        };
        // SAFETY: the caller vouches that all rows of all steps of all offsets lie inside the operands, and for the rows
        // of `initial` and `c`; only pointers inside them are read and written through. Every register that is written is named.
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
                $(row!($multiply $i $address $($sum $column)*),)*
                concat!("add {b}, ", $width),
                "add {p0}, {k_stride}",
                "add {p1}, {k_stride}",
                "add {p2}, {k_stride}",
                "prefetcht0 [{line}]",
                "add {line}, {line_stride}",
                "dec {k}",
                "jnz 3b",
                "add {offsets}, 8",
                "cmp {offsets}, qword ptr [{arguments} + {offsets_end}]",
                "jne 2b",
                "cmp qword ptr [{arguments} + {initial}], 0",
                "je 4f",
                point_at!("{initial}" "{initial_ld}"),
                $(initial!($i $address $($sum $place)*),)*
                "4:",
                "cmp dword ptr [{arguments} + {has_lower_clamp}], 0",
                "je 5f",
                "vbroadcastss zmm31, dword ptr [{arguments} + {lower_clamp}]",
                $(lower_clamp!($i $($sum)*),)*
                "5:",
                point_at!("{c}" "{ldc}"),
                $(store!($i $address $($sum $place)*),)*
                m = const M,
                distance = const PREFETCH_DISTANCE,
                offsets_end = const offset_of!(Arguments<$element>, offsets_end),
                k_groups = const offset_of!(Arguments<$element>, k_groups),
                a = const offset_of!(Arguments<$element>, a),
                initial = const offset_of!(Arguments<$element>, initial),
                initial_ld = const offset_of!(Arguments<$element>, initial_ld),
                c = const offset_of!(Arguments<$element>, c),
                ldc = const offset_of!(Arguments<$element>, ldc),
                lower_clamp = const offset_of!(Arguments<$element>, lower_clamp),
                has_lower_clamp = const offset_of!(Arguments<$element>, has_lower_clamp),
                offsets = inout(reg) $tile.offsets.as_ptr() => _,
                line = inout(reg) $tile.prefetch.from => _,
                line_stride = in(reg) $tile.prefetch.stride,
                b = inout(reg) $tile.b => _,
                lda = inout(reg) size * $tile.lda => _,
                lda3 = inout(reg) 3 * size * $tile.lda => _,
                k_stride = in(reg) size * $tile.k_stride,
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

/// [`super::micro_kernel::MicroKernel::micro_kernel`].
///
/// # Safety
/// That of [`super::micro_kernel::MicroKernel::micro_kernel`], and the processor has AVX-512 F.
#[inline(always)]
pub(super) unsafe fn micro_kernel<const M: usize, const V: usize>(tile: &MicroTile<'_, f32>) {
    in_registers!(kernel ("vfmadd231ps" f32 2) tile V)
}

/// [`super::micro_kernel::MicroKernel::micro_kernel`] for bfloat16.
///
/// # Safety
/// That of [`super::micro_kernel::MicroKernel::micro_kernel`], and the processor has AVX-512 F and BF16.
#[inline(always)]
pub(super) unsafe fn bf16_micro_kernel<const M: usize, const V: usize>(tile: &MicroTile<'_, Bf16<f32>>) {
    in_registers!(kernel ("vdpbf16ps" bf16 1) tile V)
}

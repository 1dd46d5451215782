//! The micro-kernel in AVX-512 assembly.
//!
//! It holds 28 sums in registers, next to one to three vectors of the right operand and one broadcast value of the left.
//! Compilers move broadcasts ahead until sums spill to the stack, which was measured to cost two thirds of the speed; in
//! assembly every instruction stays where it is.
#![allow(unsafe_code)]

use std::arch::asm;

use super::Product;

/// What the kernel reads seldom enough to keep in memory.
#[repr(C)]
struct Seldom {
    taps_end: *const usize,
    depth: usize,
    sums: *mut f32,
}

/// Bytes of the right operand that are asked for ahead: weights come from memory once a forward pass, and what takes
/// care of that in the processor stops at the end of every page of 4 KiB.
const AHEAD: usize = 8192;

/// Multiplies and adds one row: broadcasts its value and adds the product with each vector to its sum.
macro_rules! row {
    ($i:literal $address:literal $($sum:literal $column:literal $place:literal;)*) => {
        concat!(
            ".if {m} > ", $i, "\nvbroadcastss zmm31, dword ptr ", $address, "\n",
            $("vfmadd231ps ", $sum, ", zmm31, ", $column, "\n",)*
            ".endif",
        )
    };
}

/// Starts a row's sums.
macro_rules! zero {
    ($i:literal $($sum:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vpxord ", $sum, ", ", $sum, ", ", $sum, "\n",)* ".endif")
    };
}

/// Puts sums into memory.
macro_rules! store {
    ($i:literal $($sum:literal $place:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vmovups zmmword ptr [{p0} + ", $place, "], ", $sum, "\n",)* ".endif")
    };
}

/// The kernel for so many vectors: loads of the columns, then the rows, five to a base pointer, since an address is a
/// pointer plus one, two or four times a register.
macro_rules! kernel {
    (
        $product:ident, $row:ident, $step:ident, $sums:ident, $width:literal, [$($load:literal)*]
        $($i:literal $address:literal { $($sum:literal $column:literal $place:literal;)* })*
    ) => {{
        let seldom = Seldom {
            taps_end: $product.taps.as_ptr_range().end,
            depth: $product.depth,
            sums: $sums,
        };
        // SAFETY: the caller vouches that all rows of all steps of all taps lie inside the operands; only pointers
        // inside them are read through. `sums` takes `M` rows. Every register that is written is named.
        unsafe {
            asm!(
                $(zero!($i $($sum)*),)*
                "2:",
                "mov {p0}, qword ptr [{taps}]",
                "lea {p0}, [{a} + 4*{p0}]",
                "lea {p1}, [{p0} + 4*{row}]",
                "add {p1}, {row}",
                "lea {p2}, [{p1} + 4*{row}]",
                "add {p2}, {row}",
                "mov {k}, qword ptr [{seldom} + 8]",
                "3:",
                $($load,)*
                $(row!($i $address $($sum $column $place;)*),)*
                concat!("add {b}, ", $width),
                "add {p0}, {step}",
                "add {p1}, {step}",
                "add {p2}, {step}",
                "dec {k}",
                "jnz 3b",
                "add {taps}, 8",
                "cmp {taps}, qword ptr [{seldom}]",
                "jne 2b",
                "mov {p0}, qword ptr [{seldom} + 16]",
                $(store!($i $($sum $place)*),)*
                m = const M,
                ahead = const AHEAD,
                taps = inout(reg) $product.taps.as_ptr() => _,
                a = in(reg) $product.a.as_ptr(),
                b = inout(reg) $product.b.as_ptr() => _,
                row = in(reg) 4 * $row,
                row3 = in(reg) 12 * $row,
                step = in(reg) 4 * $step,
                seldom = in(reg) &raw const seldom,
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

/// Writes the sums of `M` rows by `V` vectors of `product` to `sums`.
///
/// # Safety
/// The product was checked against `M` and `V`, the processor has AVX-512 F, and `sums` takes `M * V` vectors.
#[inline(always)]
#[rustfmt::skip]
pub(super) unsafe fn accumulate<const M: usize, const V: usize>(
    product: &Product<'_, f32>,
    row: usize,
    step: usize,
    sums: *mut f32,
) {
    match V {
        1 => kernel! {
            product, row, step, sums, 64,
            ["vmovups zmm28, zmmword ptr [{b}]" "prefetcht0 [{b} + {ahead}]"]
            0 "[{p0}]" { "zmm0" "zmm28" 0; }
            1 "[{p0} + {row}]" { "zmm1" "zmm28" 64; }
            2 "[{p0} + 2*{row}]" { "zmm2" "zmm28" 128; }
            3 "[{p0} + {row3}]" { "zmm3" "zmm28" 192; }
            4 "[{p0} + 4*{row}]" { "zmm4" "zmm28" 256; }
            5 "[{p1}]" { "zmm5" "zmm28" 320; }
            6 "[{p1} + {row}]" { "zmm6" "zmm28" 384; }
            7 "[{p1} + 2*{row}]" { "zmm7" "zmm28" 448; }
            8 "[{p1} + {row3}]" { "zmm8" "zmm28" 512; }
            9 "[{p1} + 4*{row}]" { "zmm9" "zmm28" 576; }
            10 "[{p2}]" { "zmm10" "zmm28" 640; }
            11 "[{p2} + {row}]" { "zmm11" "zmm28" 704; }
            12 "[{p2} + 2*{row}]" { "zmm12" "zmm28" 768; }
            13 "[{p2} + {row3}]" { "zmm13" "zmm28" 832; }
        },
        2 => kernel! {
            product, row, step, sums, 128,
            ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
             "prefetcht0 [{b} + {ahead}]" "prefetcht0 [{b} + {ahead} + 64]"]
            0 "[{p0}]" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; }
            1 "[{p0} + {row}]" { "zmm2" "zmm28" 128; "zmm3" "zmm29" 192; }
            2 "[{p0} + 2*{row}]" { "zmm4" "zmm28" 256; "zmm5" "zmm29" 320; }
            3 "[{p0} + {row3}]" { "zmm6" "zmm28" 384; "zmm7" "zmm29" 448; }
            4 "[{p0} + 4*{row}]" { "zmm8" "zmm28" 512; "zmm9" "zmm29" 576; }
            5 "[{p1}]" { "zmm10" "zmm28" 640; "zmm11" "zmm29" 704; }
            6 "[{p1} + {row}]" { "zmm12" "zmm28" 768; "zmm13" "zmm29" 832; }
            7 "[{p1} + 2*{row}]" { "zmm14" "zmm28" 896; "zmm15" "zmm29" 960; }
            8 "[{p1} + {row3}]" { "zmm16" "zmm28" 1024; "zmm17" "zmm29" 1088; }
            9 "[{p1} + 4*{row}]" { "zmm18" "zmm28" 1152; "zmm19" "zmm29" 1216; }
            10 "[{p2}]" { "zmm20" "zmm28" 1280; "zmm21" "zmm29" 1344; }
            11 "[{p2} + {row}]" { "zmm22" "zmm28" 1408; "zmm23" "zmm29" 1472; }
            12 "[{p2} + 2*{row}]" { "zmm24" "zmm28" 1536; "zmm25" "zmm29" 1600; }
            13 "[{p2} + {row3}]" { "zmm26" "zmm28" 1664; "zmm27" "zmm29" 1728; }
        },
        _ => kernel! {
            product, row, step, sums, 192,
            ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
             "vmovups zmm30, zmmword ptr [{b} + 128]"
             "prefetcht0 [{b} + {ahead}]" "prefetcht0 [{b} + {ahead} + 64]" "prefetcht0 [{b} + {ahead} + 128]"]
            0 "[{p0}]" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; "zmm2" "zmm30" 128; }
            1 "[{p0} + {row}]" { "zmm3" "zmm28" 192; "zmm4" "zmm29" 256; "zmm5" "zmm30" 320; }
            2 "[{p0} + 2*{row}]" { "zmm6" "zmm28" 384; "zmm7" "zmm29" 448; "zmm8" "zmm30" 512; }
            3 "[{p0} + {row3}]" { "zmm9" "zmm28" 576; "zmm10" "zmm29" 640; "zmm11" "zmm30" 704; }
            4 "[{p0} + 4*{row}]" { "zmm12" "zmm28" 768; "zmm13" "zmm29" 832; "zmm14" "zmm30" 896; }
            5 "[{p1}]" { "zmm15" "zmm28" 960; "zmm16" "zmm29" 1024; "zmm17" "zmm30" 1088; }
            6 "[{p1} + {row}]" { "zmm18" "zmm28" 1152; "zmm19" "zmm29" 1216; "zmm20" "zmm30" 1280; }
            7 "[{p1} + 2*{row}]" { "zmm21" "zmm28" 1344; "zmm22" "zmm29" 1408; "zmm23" "zmm30" 1472; }
            8 "[{p1} + {row3}]" { "zmm24" "zmm28" 1536; "zmm25" "zmm29" 1600; "zmm26" "zmm30" 1664; }
        },
    }
}

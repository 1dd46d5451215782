//! The micro-kernel in AVX-512 assembly.
//!
//! It holds 28 sums in registers, next to one to three vectors of the right operand and one broadcast value of the left, and
//! takes them from there to where they go.
//! Compilers move broadcasts ahead until sums spill to the stack, which was measured to cost two thirds of the speed; in
//! assembly every instruction stays where it is.
#![allow(unsafe_code)]

use std::arch::asm;
use std::mem::offset_of;

use super::{Origin, Product};

/// What the kernel reads seldom enough to keep in memory; distances in bytes.
struct Seldom {
    taps_end: *const usize,
    depth: usize,
    a: *const f32,
    start: *const f32,
    start_row: usize,
    c: *mut f32,
    c_row: usize,
    /// The floor, if there is one.
    floor: f32,
    has_floor: u32,
}

/// Bytes of the right operand that are asked for ahead: weights come from memory once a forward pass, and what takes
/// care of that in the processor stops at the end of every page of 4 KiB.
const AHEAD: usize = 8192;

/// Starts a row's sums.
macro_rules! zero {
    ($i:literal $($sum:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vpxord ", $sum, ", ", $sum, ", ", $sum, "\n",)* ".endif")
    };
}

/// Multiplies and adds one row: broadcasts its value and adds the product with each vector to its sum.
macro_rules! row {
    ($i:literal $address:literal $($sum:literal $column:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\nvbroadcastss zmm31, dword ptr [", $address, "]\n",
            $("vfmadd231ps ", $sum, ", zmm31, ", $column, "\n",)*
            ".endif",
        )
    };
}

/// Adds what a row starts from.
macro_rules! start {
    ($i:literal $address:literal $($sum:literal $place:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\n",
            $("vaddps ", $sum, ", ", $sum, ", zmmword ptr [", $address, " + ", $place, "]\n",)*
            ".endif",
        )
    };
}

/// Bounds a row from below; what is not a number stays.
macro_rules! floor {
    ($i:literal $($sum:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vmaxps ", $sum, ", zmm31, ", $sum, "\n",)* ".endif")
    };
}

/// Puts a row into memory.
macro_rules! store {
    ($i:literal $address:literal $($sum:literal $place:literal)*) => {
        concat!(
            ".if {m} > ", $i, "\n",
            $("vmovups zmmword ptr [", $address, " + ", $place, "], ", $sum, "\n",)*
            ".endif",
        )
    };
}

/// Points at rows 0, 5 and 10 behind `p0`: an address is a pointer plus one, two or four times a register.
macro_rules! point {
    () => {
        "lea {p1}, [{p0} + 4*{row}]\nadd {p1}, {row}\nlea {p2}, [{p1} + 4*{row}]\nadd {p2}, {row}"
    };
}

/// Points at rows of the distance that `seldom` holds at `$row`, from the pointer before it on.
macro_rules! point_at {
    ($pointer:literal $row:literal) => {
        concat!(
            "mov {p0}, qword ptr [{seldom} + ",
            $pointer,
            "]\nmov {row}, qword ptr [{seldom} + ",
            $row,
            "]\n",
            "lea {row3}, [{row} + 2*{row}]\n",
            point!(),
        )
    };
}

/// The kernel for so many vectors: loads of the columns, then the rows.
macro_rules! kernel {
    (
        $product:ident, $distances:ident, $origin:ident, $width:literal, [$($load:literal)*]
        $($i:literal $address:literal { $($sum:literal $column:literal $place:literal;)* })*
    ) => {{
        let seldom = Seldom {
            taps_end: $product.taps.as_ptr_range().end,
            depth: $product.depth,
            a: $origin.a,
            start: $origin.start.0,
            start_row: 4 * $origin.start.1,
            c: $origin.c.0,
            c_row: 4 * $origin.c.1,
            floor: $product.floor,
            has_floor: ($product.floor > f32::NEG_INFINITY).into(),
        };
        // SAFETY: the caller vouches that all rows of all steps of all taps lie inside the operands, and for the rows of
        // `start` and `c`; only pointers inside them are read and written through. Every register that is written is named.
        unsafe {
            asm!(
                $(zero!($i $($sum)*),)*
                "2:",
                "mov {p0}, qword ptr [{taps}]",
                "shl {p0}, 2",
                "add {p0}, qword ptr [{seldom} + {a}]",
                point!(),
                "mov {k}, qword ptr [{seldom} + {depth}]",
                "3:",
                $($load,)*
                $(row!($i $address $($sum $column)*),)*
                concat!("add {b}, ", $width),
                "add {p0}, {step}",
                "add {p1}, {step}",
                "add {p2}, {step}",
                "prefetcht0 [{next}]",
                "add {next}, {next_step}",
                "dec {k}",
                "jnz 3b",
                "add {taps}, 8",
                "cmp {taps}, qword ptr [{seldom} + {taps_end}]",
                "jne 2b",
                "cmp qword ptr [{seldom} + {start}], 0",
                "je 4f",
                point_at!("{start}" "{start_row}"),
                $(start!($i $address $($sum $place)*),)*
                "4:",
                "cmp dword ptr [{seldom} + {has_floor}], 0",
                "je 5f",
                "vbroadcastss zmm31, dword ptr [{seldom} + {floor}]",
                $(floor!($i $($sum)*),)*
                "5:",
                point_at!("{c}" "{c_row}"),
                $(store!($i $address $($sum $place)*),)*
                m = const M,
                ahead = const AHEAD,
                taps_end = const offset_of!(Seldom, taps_end),
                depth = const offset_of!(Seldom, depth),
                a = const offset_of!(Seldom, a),
                start = const offset_of!(Seldom, start),
                start_row = const offset_of!(Seldom, start_row),
                c = const offset_of!(Seldom, c),
                c_row = const offset_of!(Seldom, c_row),
                floor = const offset_of!(Seldom, floor),
                has_floor = const offset_of!(Seldom, has_floor),
                taps = inout(reg) $product.taps.as_ptr() => _,
                next = inout(reg) $origin.ahead.from => _,
                next_step = in(reg) $origin.ahead.bytes,
                b = inout(reg) $product.b.as_ptr() => _,
                row = inout(reg) 4 * $distances.0 => _,
                row3 = inout(reg) 12 * $distances.0 => _,
                step = in(reg) 4 * $distances.1,
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

/// [`super::Simd::multiply`].
///
/// # Safety
/// That of [`super::Simd::multiply`], and the processor has AVX-512 F.
#[inline(always)]
#[rustfmt::skip]
pub(super) unsafe fn multiply<const M: usize, const V: usize>(
    product: &Product<'_, f32>,
    distances: (usize, usize),
    origin: Origin<f32>,
) {
    match V {
        1 => kernel! {
            product, distances, origin, 64,
            ["vmovups zmm28, zmmword ptr [{b}]" "prefetcht0 [{b} + {ahead}]"]
            0 "{p0}" { "zmm0" "zmm28" 0; }
            1 "{p0} + {row}" { "zmm1" "zmm28" 0; }
            2 "{p0} + 2*{row}" { "zmm2" "zmm28" 0; }
            3 "{p0} + {row3}" { "zmm3" "zmm28" 0; }
            4 "{p0} + 4*{row}" { "zmm4" "zmm28" 0; }
            5 "{p1}" { "zmm5" "zmm28" 0; }
            6 "{p1} + {row}" { "zmm6" "zmm28" 0; }
            7 "{p1} + 2*{row}" { "zmm7" "zmm28" 0; }
            8 "{p1} + {row3}" { "zmm8" "zmm28" 0; }
            9 "{p1} + 4*{row}" { "zmm9" "zmm28" 0; }
            10 "{p2}" { "zmm10" "zmm28" 0; }
            11 "{p2} + {row}" { "zmm11" "zmm28" 0; }
            12 "{p2} + 2*{row}" { "zmm12" "zmm28" 0; }
            13 "{p2} + {row3}" { "zmm13" "zmm28" 0; }
        },
        2 => kernel! {
            product, distances, origin, 128,
            ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
             "prefetcht0 [{b} + {ahead}]" "prefetcht0 [{b} + {ahead} + 64]"]
            0 "{p0}" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; }
            1 "{p0} + {row}" { "zmm2" "zmm28" 0; "zmm3" "zmm29" 64; }
            2 "{p0} + 2*{row}" { "zmm4" "zmm28" 0; "zmm5" "zmm29" 64; }
            3 "{p0} + {row3}" { "zmm6" "zmm28" 0; "zmm7" "zmm29" 64; }
            4 "{p0} + 4*{row}" { "zmm8" "zmm28" 0; "zmm9" "zmm29" 64; }
            5 "{p1}" { "zmm10" "zmm28" 0; "zmm11" "zmm29" 64; }
            6 "{p1} + {row}" { "zmm12" "zmm28" 0; "zmm13" "zmm29" 64; }
            7 "{p1} + 2*{row}" { "zmm14" "zmm28" 0; "zmm15" "zmm29" 64; }
            8 "{p1} + {row3}" { "zmm16" "zmm28" 0; "zmm17" "zmm29" 64; }
            9 "{p1} + 4*{row}" { "zmm18" "zmm28" 0; "zmm19" "zmm29" 64; }
            10 "{p2}" { "zmm20" "zmm28" 0; "zmm21" "zmm29" 64; }
            11 "{p2} + {row}" { "zmm22" "zmm28" 0; "zmm23" "zmm29" 64; }
            12 "{p2} + 2*{row}" { "zmm24" "zmm28" 0; "zmm25" "zmm29" 64; }
            13 "{p2} + {row3}" { "zmm26" "zmm28" 0; "zmm27" "zmm29" 64; }
        },
        _ => kernel! {
            product, distances, origin, 192,
            ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
             "vmovups zmm30, zmmword ptr [{b} + 128]"
             "prefetcht0 [{b} + {ahead}]" "prefetcht0 [{b} + {ahead} + 64]" "prefetcht0 [{b} + {ahead} + 128]"]
            0 "{p0}" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; "zmm2" "zmm30" 128; }
            1 "{p0} + {row}" { "zmm3" "zmm28" 0; "zmm4" "zmm29" 64; "zmm5" "zmm30" 128; }
            2 "{p0} + 2*{row}" { "zmm6" "zmm28" 0; "zmm7" "zmm29" 64; "zmm8" "zmm30" 128; }
            3 "{p0} + {row3}" { "zmm9" "zmm28" 0; "zmm10" "zmm29" 64; "zmm11" "zmm30" 128; }
            4 "{p0} + 4*{row}" { "zmm12" "zmm28" 0; "zmm13" "zmm29" 64; "zmm14" "zmm30" 128; }
            5 "{p1}" { "zmm15" "zmm28" 0; "zmm16" "zmm29" 64; "zmm17" "zmm30" 128; }
            6 "{p1} + {row}" { "zmm18" "zmm28" 0; "zmm19" "zmm29" 64; "zmm20" "zmm30" 128; }
            7 "{p1} + 2*{row}" { "zmm21" "zmm28" 0; "zmm22" "zmm29" 64; "zmm23" "zmm30" 128; }
            8 "{p1} + {row3}" { "zmm24" "zmm28" 0; "zmm25" "zmm29" 64; "zmm26" "zmm30" 128; }
        },
    }
}

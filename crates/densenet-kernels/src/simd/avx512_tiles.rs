//! Which registers hold a micro-tile in AVX-512 assembly: 28 sums, next to one to three vectors of the right operand and one
//! broadcast value of the left.

/// Expands `$kernel! { $kind $tile, bytes of a row of the right operand, a spare register, [its loads] rows }` for a
/// tile with this many `$vectors`, of 14 rows, or 9 if there are three: each with its address in the left operand and,
/// for each vector, the sum, the column and the place in a row of the output.
macro_rules! in_registers {
    ($kernel:ident ($($kind:tt)*) $tile:ident $vectors:expr) => {
        match $vectors {
            1 => $kernel! {
                $($kind)* $tile, 64, "zmm30",
                ["vmovups zmm28, zmmword ptr [{b}]" "prefetcht0 [{b} + {distance}]"]
                0 "{p0}" { "zmm0" "zmm28" 0; }
                1 "{p0} + {lda}" { "zmm1" "zmm28" 0; }
                2 "{p0} + 2*{lda}" { "zmm2" "zmm28" 0; }
                3 "{p0} + {lda3}" { "zmm3" "zmm28" 0; }
                4 "{p0} + 4*{lda}" { "zmm4" "zmm28" 0; }
                5 "{p1}" { "zmm5" "zmm28" 0; }
                6 "{p1} + {lda}" { "zmm6" "zmm28" 0; }
                7 "{p1} + 2*{lda}" { "zmm7" "zmm28" 0; }
                8 "{p1} + {lda3}" { "zmm8" "zmm28" 0; }
                9 "{p1} + 4*{lda}" { "zmm9" "zmm28" 0; }
                10 "{p2}" { "zmm10" "zmm28" 0; }
                11 "{p2} + {lda}" { "zmm11" "zmm28" 0; }
                12 "{p2} + 2*{lda}" { "zmm12" "zmm28" 0; }
                13 "{p2} + {lda3}" { "zmm13" "zmm28" 0; }
            },
            2 => $kernel! {
                $($kind)* $tile, 128, "zmm30",
                ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
                 "prefetcht0 [{b} + {distance}]" "prefetcht0 [{b} + {distance} + 64]"]
                0 "{p0}" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; }
                1 "{p0} + {lda}" { "zmm2" "zmm28" 0; "zmm3" "zmm29" 64; }
                2 "{p0} + 2*{lda}" { "zmm4" "zmm28" 0; "zmm5" "zmm29" 64; }
                3 "{p0} + {lda3}" { "zmm6" "zmm28" 0; "zmm7" "zmm29" 64; }
                4 "{p0} + 4*{lda}" { "zmm8" "zmm28" 0; "zmm9" "zmm29" 64; }
                5 "{p1}" { "zmm10" "zmm28" 0; "zmm11" "zmm29" 64; }
                6 "{p1} + {lda}" { "zmm12" "zmm28" 0; "zmm13" "zmm29" 64; }
                7 "{p1} + 2*{lda}" { "zmm14" "zmm28" 0; "zmm15" "zmm29" 64; }
                8 "{p1} + {lda3}" { "zmm16" "zmm28" 0; "zmm17" "zmm29" 64; }
                9 "{p1} + 4*{lda}" { "zmm18" "zmm28" 0; "zmm19" "zmm29" 64; }
                10 "{p2}" { "zmm20" "zmm28" 0; "zmm21" "zmm29" 64; }
                11 "{p2} + {lda}" { "zmm22" "zmm28" 0; "zmm23" "zmm29" 64; }
                12 "{p2} + 2*{lda}" { "zmm24" "zmm28" 0; "zmm25" "zmm29" 64; }
                13 "{p2} + {lda3}" { "zmm26" "zmm28" 0; "zmm27" "zmm29" 64; }
            },
            _ => $kernel! {
                $($kind)* $tile, 192, "zmm27",
                ["vmovups zmm28, zmmword ptr [{b}]" "vmovups zmm29, zmmword ptr [{b} + 64]"
                 "vmovups zmm30, zmmword ptr [{b} + 128]"
                 "prefetcht0 [{b} + {distance}]" "prefetcht0 [{b} + {distance} + 64]" "prefetcht0 [{b} + {distance} + 128]"]
                0 "{p0}" { "zmm0" "zmm28" 0; "zmm1" "zmm29" 64; "zmm2" "zmm30" 128; }
                1 "{p0} + {lda}" { "zmm3" "zmm28" 0; "zmm4" "zmm29" 64; "zmm5" "zmm30" 128; }
                2 "{p0} + 2*{lda}" { "zmm6" "zmm28" 0; "zmm7" "zmm29" 64; "zmm8" "zmm30" 128; }
                3 "{p0} + {lda3}" { "zmm9" "zmm28" 0; "zmm10" "zmm29" 64; "zmm11" "zmm30" 128; }
                4 "{p0} + 4*{lda}" { "zmm12" "zmm28" 0; "zmm13" "zmm29" 64; "zmm14" "zmm30" 128; }
                5 "{p1}" { "zmm15" "zmm28" 0; "zmm16" "zmm29" 64; "zmm17" "zmm30" 128; }
                6 "{p1} + {lda}" { "zmm18" "zmm28" 0; "zmm19" "zmm29" 64; "zmm20" "zmm30" 128; }
                7 "{p1} + 2*{lda}" { "zmm21" "zmm28" 0; "zmm22" "zmm29" 64; "zmm23" "zmm30" 128; }
                8 "{p1} + {lda3}" { "zmm24" "zmm28" 0; "zmm25" "zmm29" 64; "zmm26" "zmm30" 128; }
            },
        }
    };
}

/// Starts a row's sums.
macro_rules! zero {
    ($i:literal $($sum:literal)*) => {
        concat!(".if {m} > ", $i, "\n", $("vpxord ", $sum, ", ", $sum, ", ", $sum, "\n",)* ".endif")
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

/// Points at rows 0, 5 and 10 from `p0` on: an address is a pointer plus one, two or four times a register.
macro_rules! point {
    () => {
        "lea {p1}, [{p0} + 4*{lda}]\nadd {p1}, {lda}\nlea {p2}, [{p1} + 4*{lda}]\nadd {p2}, {lda}"
    };
}

pub(super) use {in_registers, point, store, zero};

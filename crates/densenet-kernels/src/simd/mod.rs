//! Instruction sets: the only place with `unsafe` code, and the only one that makes choices at run time.
//!
//! An instruction set is a value that exists only where the processor has it, so calling the fast path is safe by
//! construction. Operations are written once, over [`Simd`]; [`Dispatch`] runs them on the best available set, or the
//! one that `DENSENET_ISA` (`avx512`, `avx2` or `portable`) names.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_integer;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_integer;
#[cfg(target_arch = "x86_64")]
mod avx512_micro_kernel;
#[cfg(target_arch = "x86_64")]
mod avx512_tiles;
mod dispatch;
pub(crate) mod integer;
mod micro_kernel;
mod plain_bf16_kernel;
mod plain_integer_kernel;
mod plain_micro_kernel;
mod portable;
mod portable_integer;
pub(crate) mod pre_activation;
pub(crate) mod requantize;
pub(crate) mod strided;
pub(crate) mod tile_rows;
mod vector;

pub(crate) use dispatch::dispatch_integers;
pub use dispatch::{Dispatch, Isa};
pub(crate) use micro_kernel::{Initial, MicroKernel, MicroTile, Prefetch};
pub use portable::Portable;
pub(crate) use vector::MAX_LANES;
pub use vector::{Operation, Simd};

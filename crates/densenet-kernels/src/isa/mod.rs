//! Instruction sets: the one place where `unsafe` lives, and the one place that chooses at run time.
//!
//! An instruction set is a value that exists only where the processor has it, so calling the fast path is safe by
//! construction. Operations are written once, over [`Simd`]; [`Dispatch`] runs them on the best set there is, or the one
//! that `DENSENET_ISA` (`avx512`, `avx2` or `portable`) names.

pub(crate) mod apart;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_micro;
mod portable;
mod tile;

use std::sync::OnceLock;

pub use portable::Portable;
pub(crate) use tile::Start;
pub use tile::{Origin, Product};

use crate::Element;
use crate::compiled::Operations;
use crate::scratch::Scratch;

/// Most lanes of a vector of any instruction set.
pub(crate) const MOST_LANES: usize = 16;

/// Vectors of one instruction set. Methods that take slices check their lengths.
pub trait Simd: Copy + Send + Sync + 'static {
    /// What a lane holds.
    type T: Element;
    /// A vector of [`Simd::LANES`] lanes.
    type V: Copy;
    /// Lanes of a vector.
    const LANES: usize;
    /// Rows of a micro-tile that is one, two or three vectors wide: as many as leave no register spilled.
    const ROWS: [usize; 3];
    /// Second-level cache that most processors with this set have, in units of 512 KiB: what working sets are measured by.
    const CACHE: usize;

    /// All lanes `value`.
    fn splat(self, value: Self::T) -> Self::V;
    /// The first `LANES` elements of `from`, or all of a shorter one and zeros behind it.
    fn load(self, from: &[Self::T]) -> Self::V;
    /// Lanes into the first `LANES` elements of `to`, or as many as a shorter one takes.
    fn store(self, value: Self::V, to: &mut [Self::T]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of both; `value` where either is not a number.
    fn max(self, floor: Self::V, value: Self::V) -> Self::V;
    /// `yes` where `a > b`, elsewhere `no`.
    fn select_gt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Reads a vector.
    ///
    /// # Safety
    /// `from` must be valid for reads of `LANES` elements.
    #[allow(unsafe_code)]
    unsafe fn load_unchecked(self, from: *const Self::T) -> Self::V;
    /// Writes a vector.
    ///
    /// # Safety
    /// `to` must be valid for writes of `LANES` elements.
    #[allow(unsafe_code)]
    unsafe fn store_unchecked(self, value: Self::V, to: *mut Self::T);
    /// Asks for the cache line at `address`, which need not be valid: nothing is read.
    #[inline(always)]
    fn prefetch(self, _address: *const Self::T) {}
    /// [`Simd::prefetch`] to the second level of the cache.
    #[inline(always)]
    fn prefetch_l2(self, _address: *const Self::T) {}
    /// Computes `M` rows by `V` whole vectors of a product, with `row` and `step` its distances in `a`, from `origin` on.
    ///
    /// # Safety
    /// The product's operands must hold all rows from `origin` on; its `start`, unless it is null, must be valid for reads and
    /// its `c` for writes of `M` rows of `V` vectors.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn multiply<const M: usize, const V: usize>(
        self,
        product: &Product<'_, Self::T>,
        (row, step): (usize, usize),
        origin: Origin<Self::T>,
    ) {
        // SAFETY: the caller's.
        unsafe { tile::multiply::<Self, M, V>(self, product, (row, step), origin) }
    }

    /// Runs `operation` compiled for this instruction set.
    fn run<O: Operation<Self::T>>(self, operation: O) -> O::Output;
}

/// Something to be run on one instruction set.
///
/// `run`, and all that it calls with the set, must be `#[inline(always)]` functions: what is compiled apart, closures
/// among it, is compiled without the instruction set, and every vector operation in it becomes a call.
pub trait Operation<T: Element> {
    /// What it yields.
    type Output;
    /// Runs it on `simd`.
    fn run<S: Simd<T = T>>(self, simd: S) -> Self::Output;
}

/// An instruction set, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL: 16 lanes, 32 registers.
    Avx512,
    /// AVX2 and FMA: 8 lanes, 16 registers.
    Avx2,
    /// Whatever the compiler makes of plain code.
    Portable,
}

impl Isa {
    /// The set in use: the one that `DENSENET_ISA` names, or else the best that this processor has.
    ///
    /// # Panics
    /// `DENSENET_ISA` names no set, or one that this processor lacks: going on would measure or test something else
    /// than was asked for. [`Isa::from_environment`] tells without a panic.
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::from_environment().unwrap_or_else(|message| panic!("{message}")))
    }

    /// The set that `DENSENET_ISA` names, or else the best that this processor has.
    ///
    /// # Errors
    /// The variable names no set, or one that this processor lacks.
    pub fn from_environment() -> Result<Self, String> {
        let best = Self::best();
        let Some(name) = std::env::var_os("DENSENET_ISA") else { return Ok(best) };
        let named = match name.to_str() {
            Some("avx512") => Self::Avx512,
            Some("avx2") => Self::Avx2,
            Some("portable") => Self::Portable,
            _ => return Err(format!("DENSENET_ISA is {name:?}; it may be avx512, avx2 or portable")),
        };
        match (best, named) {
            (Self::Avx2, Self::Avx512) | (Self::Portable, Self::Avx512 | Self::Avx2) => {
                Err(format!("DENSENET_ISA is {name:?}, which this processor lacks"))
            }
            _ => Ok(named),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn best() -> Self {
        match (avx512::Avx512::detect(), avx2::Avx2::detect()) {
            (Some(_), _) => Self::Avx512,
            (None, Some(_)) => Self::Avx2,
            (None, None) => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn best() -> Self {
        Self::Portable
    }

    /// Its name, as `DENSENET_ISA` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }
}

/// [`Simd::LANES`] and [`Simd::CACHE`].
struct Constants;

impl<T: Element> Operation<T> for Constants {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) -> (usize, usize) {
        (S::LANES, S::CACHE)
    }
}

/// Elements that operations can be dispatched for. Only `f32` has a choice; `f64` is for checking and runs in plain code.
pub trait Dispatch: Scratch + Operations {
    /// Lanes of a vector of the instruction set in use.
    fn lanes() -> usize {
        Self::dispatch(Constants).0
    }

    /// Units of cache, [`Simd::CACHE`], of the instruction set in use.
    fn cache() -> usize {
        Self::dispatch(Constants).1
    }

    /// Runs `operation` on the instruction set in use.
    fn dispatch<O: Operation<Self>>(operation: O) -> O::Output;
}

impl Dispatch for f32 {
    #[cfg(target_arch = "x86_64")]
    fn dispatch<O: Operation<f32>>(operation: O) -> O::Output {
        match Isa::current() {
            Isa::Avx512 => avx512::Avx512::detect().expect("detected before").run(operation),
            Isa::Avx2 => avx2::Avx2::detect().expect("detected before").run(operation),
            Isa::Portable => Portable::new().run(operation),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn dispatch<O: Operation<f32>>(operation: O) -> O::Output {
        Portable::new().run(operation)
    }
}

impl Dispatch for f64 {
    fn dispatch<O: Operation<f64>>(operation: O) -> O::Output {
        Portable::new().run(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of a vector, loaded and stored.
    struct Parts;

    impl<T: Element> Operation<T> for Parts {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T = T>>(self, simd: S) {
            let numbers: Vec<T> = (1..=S::LANES + 1).map(|i| T::of(i as f64)).collect();
            for lanes in 0..=S::LANES {
                let mut to = vec![T::of(-1.0); S::LANES + 1];
                simd.store(simd.load(&numbers[..lanes]), &mut to);
                for (i, &value) in to.iter().enumerate() {
                    let expected = if i < lanes { numbers[i].f64() } else { [0.0, -1.0][i / S::LANES] };
                    assert_eq!(value.f64(), expected, "lane {i} of {lanes} loaded");
                }
                to.fill(T::of(-1.0));
                simd.store(simd.load(&numbers), &mut to[..lanes]);
                for (i, &value) in to.iter().enumerate() {
                    let expected = if i < lanes { numbers[i].f64() } else { -1.0 };
                    assert_eq!(value.f64(), expected, "lane {i} of {lanes} stored");
                }
            }
        }
    }

    #[test]
    fn parts_of_vectors_end_where_slices_do() {
        f32::dispatch(Parts);
        f64::dispatch(Parts);
    }
}

//! Choosing the instruction set at run time.

use std::cell::Cell;
use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::integer::{IntegerOperation, IntegerSimd};
use super::portable::Portable;
use super::vector::{Operation, Simd};
use crate::scalar::Scalar;

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

thread_local! {
    /// The set that this thread's operations run on, if not the process's.
    static OF_THREAD: Cell<Option<Isa>> = const { Cell::new(None) };
}

impl Isa {
    /// All sets, best first.
    const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The set in use on this thread: that of its [`Isa::thread_pool`], else the one named by `DENSENET_ISA`, else the
    /// best that this processor has.
    ///
    /// # Panics
    /// If `DENSENET_ISA` names no set, or one that this processor lacks: continuing would measure or test something
    /// else. [`Isa::from_environment`] returns an error instead.
    pub fn current() -> Self {
        static OF_PROCESS: OnceLock<Isa> = OnceLock::new();
        OF_THREAD.get().unwrap_or_else(|| {
            *OF_PROCESS.get_or_init(|| Self::from_environment().unwrap_or_else(|message| panic!("{message}")))
        })
    }

    /// The set named by `DENSENET_ISA`, else the best that this processor has.
    ///
    /// # Errors
    /// The variable names no set, or one that this processor lacks.
    pub fn from_environment() -> Result<Self, String> {
        let Some(name) = std::env::var_os("DENSENET_ISA") else { return Ok(Self::best()) };
        let named = Self::ALL.into_iter().find(|isa| name == isa.name());
        let isa = named.ok_or_else(|| format!("DENSENET_ISA is {name:?}; it must be avx512, avx2 or portable"))?;
        let there = Self::available().any(|available| available == isa);
        there.then_some(isa).ok_or_else(|| format!("DENSENET_ISA is {name:?}, which this processor lacks"))
    }

    /// The sets that this processor has, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().skip_while(|&isa| isa != Self::best())
    }

    /// A pool of `threads` threads whose operations run on this set, so that one process can test and compare all sets.
    /// Data packed on the pool can be used only there.
    ///
    /// # Errors
    /// This processor lacks the set, or the threads cannot be started.
    pub fn thread_pool(self, threads: usize) -> Result<ThreadPool, String> {
        if !Self::available().any(|isa| isa == self) {
            return Err(format!("this processor lacks {}", self.name()));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).start_handler(move |_| OF_THREAD.set(Some(self)));
        pool.build().map_err(|error| format!("cannot start {threads} threads: {error}"))
    }

    #[cfg(target_arch = "x86_64")]
    fn best() -> Self {
        match (Avx512::detect(), Avx2::detect()) {
            (Some(_), _) => Self::Avx512,
            (None, Some(_)) => Self::Avx2,
            (None, None) => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn best() -> Self {
        Self::Portable
    }

    /// Its name, as in `DENSENET_ISA`.
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

impl<T: Scalar> Operation<T> for Constants {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, _: S) -> (usize, usize) {
        (S::LANES, S::CACHE)
    }
}

/// Element types for which operations can be dispatched. Only `f32` has a choice; `f64` is for checking and runs in
/// plain code.
pub trait Dispatch: Scalar {
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
            Isa::Avx512 => Avx512::detect().expect("detected before").run(operation),
            Isa::Avx2 => Avx2::detect().expect("detected before").run(operation),
            Isa::Portable => Portable::new().run(operation),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn dispatch<O: Operation<f32>>(operation: O) -> O::Output {
        Portable::new().run(operation)
    }
}

/// Runs `operation` on the instruction set in use.
pub(crate) fn dispatch_integers<O: IntegerOperation>(operation: O) -> O::Output {
    match Isa::current() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::detect().expect("detected before").run_integers(operation),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::detect().expect("detected before").run_integers(operation),
        _ => Portable::new().run_integers(operation),
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

    impl<T: Scalar> Operation<T> for Parts {
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
        for isa in Isa::available() {
            isa.thread_pool(1).unwrap().install(|| f32::dispatch(Parts));
        }
        f64::dispatch(Parts);
    }

    #[test]
    fn a_pool_has_the_set_that_it_is_made_for() {
        for isa in Isa::available() {
            assert_eq!(isa.thread_pool(1).unwrap().install(Isa::current), isa);
        }
        assert_eq!(Isa::available().last(), Some(Isa::Portable));
    }
}

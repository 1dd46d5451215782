//! Running an operation where it can do no unseen harm, and comparing what it made.

use std::sync::LazyLock;

use densenet_kernels::Real;
use densenet_kernels::simd::Isa;
use rayon::ThreadPool;

/// Elements on either side of an output; odd, so that outputs are not aligned to vectors.
const GUARD: usize = 67;

/// What the guards hold.
const SENTINEL: f64 = -12_345.0;

/// Elements of every thread's working memory that are poisoned: most cases need less.
const WORKING: usize = if cfg!(miri) { 1 << 10 } else { 1 << 18 };

/// A pool of two threads for each instruction set that the processor has.
static POOLS: LazyLock<Vec<(Isa, ThreadPool)>> = LazyLock::new(|| {
    let pool = |isa: Isa| (isa, isa.thread_pool(2).expect("two threads of a set that is there"));
    Isa::available().map(pool).collect()
});

/// Runs `check` on every instruction set that the processor has; a failure names the set.
pub fn on_every_set(check: impl Fn() + Sync) {
    struct Named(Isa);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed on the instruction set {}", self.0.name());
            }
        }
    }
    for (isa, pool) in POOLS.iter() {
        let named = Named(*isa);
        pool.install(&check);
        drop(named);
    }
}

/// Runs `operation` on an output that holds `before`, every thread's working memory filled with NaN; returns what the
/// output holds then and what `operation` returned.
///
/// # Panics
/// An element beside the output was written.
pub fn guarded<T: Real, R>(case: &str, before: Vec<T>, operation: impl FnOnce(&mut [T]) -> R) -> (Vec<T>, R) {
    let poison = || T::scratch(WORKING, |memory| memory.fill(T::nan()));
    poison();
    rayon::broadcast(|_| poison());
    let guard = vec![T::of(SENTINEL); GUARD];
    let mut memory = [guard.as_slice(), &before, &guard].concat();
    let inside = GUARD..GUARD + before.len();
    let result = operation(&mut memory[inside.clone()]);
    let kept = |words: &[T]| words.iter().all(|word| word.f64() == SENTINEL);
    assert!(kept(&memory[..inside.start]), "{case}: wrote before its output");
    assert!(kept(&memory[inside.end..]), "{case}: wrote past its output");
    (memory[inside].to_vec(), result)
}

/// [`guarded`] on an output of `len` elements that holds NaN.
pub fn poisoned<T: Real, R>(case: &str, len: usize, operation: impl FnOnce(&mut [T]) -> R) -> (Vec<T>, R) {
    guarded(case, vec![T::nan(); len], operation)
}

/// Largest error relative in norm: `f32` sums of a few thousand terms lose two of its seven digits.
pub fn tolerance<T: Real>() -> f64 {
    if size_of::<T>() == 4 { 1e-5 } else { 1e-12 }
}

/// Euclidean norm.
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Checks `got` to the tolerance of `T`, relative to the norm of `expected` or, where that is larger, to the norm of as
/// many ones: cases are made so that results are of that order or above, unless they cancel.
pub fn assert_close<T: Real>(case: &str, what: &str, got: &[f64], expected: &[f64]) {
    let scale = norm(expected).max((expected.len() as f64).sqrt());
    assert_within(case, what, got, expected, scale * tolerance::<T>());
}

/// Checks that `got` and `expected` differ by at most `bound` in norm.
pub fn assert_within(case: &str, what: &str, got: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len(), "{case}: length of {what}");
    let difference: Vec<f64> = got.iter().zip(expected).map(|(a, b)| a - b).collect();
    let error = norm(&difference);
    if error <= bound {
        return;
    }
    let size = |i: usize| if difference[i].is_nan() { f64::INFINITY } else { difference[i].abs() };
    let worst = (0..got.len()).max_by(|&a, &b| size(a).total_cmp(&size(b))).expect("an empty result has no error");
    panic!(
        "{case}: {what} is off by {error:e}, {bound:e} is allowed; worst is element {worst} of {}: {} for {}",
        got.len(),
        got[worst],
        expected[worst]
    );
}

/// Elements in double precision.
pub fn doubles<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.f64()).collect()
}

/// Elements of `T`.
pub fn elements<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::of(value)).collect()
}

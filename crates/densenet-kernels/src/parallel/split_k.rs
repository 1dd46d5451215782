//! Split-K: products whose K, the pixels of a batch, is cut into parts for several threads. Each part has its own
//! partial sums, which are added in order, so that the bits do not depend on the number of threads.

use rayon::prelude::*;

use crate::memory::Scratch;
use crate::simd::{Dispatch, Operation, Simd};

/// Most parts that K is cut into.
const MAX_PARTS: usize = 32;

/// Parts that even a short K is cut into.
const SHORT_PARTS: usize = 8;

/// Steps along K from which a part's products cost far more than adding its partial sums.
const LONG_K: usize = 1024;

/// Elements that all partial sums together should not exceed, unless even two parts do: 8 MiB in `f32`.
const PARTIAL_SUMS: usize = 2 * 1024 * 1024;

/// Elements per piece of work when partial sums are added.
const PIECE: usize = 4096;

/// Number of parts into which a product of `k` steps and `len` sums is cut, depending on its shape alone.
fn parts(k: usize, len: usize) -> usize {
    (PARTIAL_SUMS / len).clamp(2, (k / LONG_K).clamp(SHORT_PARTS, MAX_PARTS))
}

/// Cuts `work`, which has `k` steps along K, into parts, lets `add` write the sums of each into its `len` partial sums,
/// whose content is left over from earlier work, and calls `with` with the total sums.
pub(crate) fn split_k<T: Dispatch + Scratch, W: Send, R>(
    work: &mut [W],
    k: usize,
    len: usize,
    add: impl Fn(&mut [W], &mut [T]) + Sync,
    with: impl FnOnce(&[T]) -> R,
) -> R {
    let count = work.len();
    let parts = count.min(parts(k, len));
    let mut rest = work;
    let works: Vec<_> = (0..parts)
        .map(|part| rest.split_off_mut(..(part + 1) * count / parts - part * count / parts).expect("a part"))
        .collect();
    T::scratch(parts * len, |partial| {
        works.into_par_iter().zip(partial.par_chunks_mut(len)).with_max_len(1).for_each(|(work, sums)| add(work, sums));
        let (sums, others) = partial.split_at_mut(len);
        sums.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sums)| {
            others.chunks_exact(len).for_each(|other| T::dispatch(Add(sums, &other[piece * PIECE..])));
        });
        with(sums)
    })
}

/// Adds the second to the first, over the length of the first.
struct Add<'a, T>(&'a mut [T], &'a [T]);

impl<T: Dispatch> Operation<T> for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        for (sum, value) in self.0.chunks_mut(S::LANES).zip(self.1.chunks(S::LANES)) {
            simd.store(simd.add(simd.load(sum), simd.load(&value[..sum.len()])), sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn every_part_counts_once_whatever_the_partial_sums_held() {
        for (count, k, len) in [(1, 1, 3), (5, 1, PIECE + 17), (100, 20 * LONG_K, 1), (9, LONG_K, PARTIAL_SUMS / 3)] {
            f32::scratch(MAX_PARTS * len, |memory| memory.fill(f32::NAN));
            let mut work: Vec<usize> = (0..count).collect();
            let add = |part: &mut [usize], sums: &mut [f32]| {
                let total = part.iter().sum::<usize>() as f32;
                sums.iter_mut().enumerate().for_each(|(i, sum)| *sum = total + (i % 7) as f32)
            };
            let parts = count.min(parts(k, len));
            let expected = |i: usize| (count * (count - 1) / 2 + parts * (i % 7)) as f32;
            split_k(&mut work, k, len, add, |sums| {
                assert!(sums.len() == len && sums.iter().enumerate().all(|(i, &sum)| sum == expected(i)));
            });
        }
    }

    #[test]
    fn long_sums_are_cut_into_more_parts_and_large_ones_into_fewer() {
        assert_eq!(parts(784, 128 * 128), 8);
        assert_eq!(parts(16 * LONG_K, 128 * 128), 16);
        assert_eq!(parts(1000 * LONG_K, 128), MAX_PARTS);
        assert_eq!(parts(1000 * LONG_K, PARTIAL_SUMS), 2);
    }
}

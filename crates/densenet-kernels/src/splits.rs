//! Sums over pixels that several threads add up: each part of the pixels has a copy of the sums, and the copies are added
//! in order, so that the bits do not depend on the threads.

use rayon::prelude::*;

use crate::isa::{Dispatch, Operation, Simd};

/// Most parts that the pixels are cut into.
const MOST: usize = 8;

/// Elements that all copies together should not exceed, unless even two do: 8 MiB in `f32`.
const COPIES: usize = 2 * 1024 * 1024;

/// Elements of a piece of the sums, when copies are added.
const PIECE: usize = 4096;

/// Cuts `work` into parts, has `add` put the sums of each into its copy of `len` elements, whose content is left over from
/// earlier work, and calls `with` with the sums of all.
pub(crate) fn summed<T: Dispatch, W: Send, R>(
    work: &mut [W],
    len: usize,
    add: impl Fn(&mut [W], &mut [T]) + Sync,
    with: impl FnOnce(&[T]) -> R,
) -> R {
    let count = work.len();
    let parts = count.min((COPIES / len).clamp(2, MOST));
    let mut behind = work;
    let works: Vec<_> = (0..parts)
        .map(|part| behind.split_off_mut(..(part + 1) * count / parts - part * count / parts).expect("a part"))
        .collect();
    T::scratch(parts * len, |copies| {
        works.into_par_iter().zip(copies.par_chunks_mut(len)).with_max_len(1).for_each(|(work, copy)| add(work, copy));
        let (sums, others) = copies.split_at_mut(len);
        sums.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sums)| {
            others.chunks_exact(len).for_each(|other| T::dispatch(Add(sums, &other[piece * PIECE..])));
        });
        with(sums)
    })
}

/// Adds as many elements of the second as the first has.
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
    use crate::scratch::Scratch;

    #[test]
    fn every_part_counts_once_whatever_the_copies_held() {
        for (count, len) in [(1, 3), (5, PIECE + 17), (100, 1), (9, COPIES / 3)] {
            f32::scratch(MOST * len, |memory| memory.fill(f32::NAN));
            let mut work: Vec<usize> = (0..count).collect();
            let add = |part: &mut [usize], copy: &mut [f32]| {
                let total = part.iter().sum::<usize>() as f32;
                copy.iter_mut().enumerate().for_each(|(i, sum)| *sum = total + (i % 7) as f32)
            };
            let parts = count.min((COPIES / len).clamp(2, MOST));
            let expected = |i: usize| (count * (count - 1) / 2 + parts * (i % 7)) as f32;
            summed(&mut work, len, add, |sums| {
                assert!(sums.len() == len && sums.iter().enumerate().all(|(i, &sum)| sum == expected(i)));
            });
        }
    }
}

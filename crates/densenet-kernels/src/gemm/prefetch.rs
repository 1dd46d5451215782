//! Software prefetch during products.
//!
//! A row block is first packed, which waits for memory, and then multiplied, which leaves memory idle. So in each step
//! along K the micro-kernel prefetches a part of what will be packed next.

use crate::simd::Prefetch;

/// Bytes that one step along K prefetches at most: half a cache line. Prefetching faster makes the product wait.
const BYTES: usize = 32;

/// Runs of elements that are prefetched one after the other.
pub(crate) struct PrefetchStream<'a, 'b, T> {
    runs: &'b mut dyn Iterator<Item = &'a [T]>,
    run: &'a [T],
}

impl<'a, 'b, T> PrefetchStream<'a, 'b, T> {
    /// A stream of `runs`.
    pub fn new(runs: &'b mut dyn Iterator<Item = &'a [T]>) -> Self {
        Self { runs, run: &[] }
    }

    /// What `steps` steps along K prefetch; `nothing` at the end of the stream.
    #[inline(always)]
    pub fn take(&mut self, steps: usize, nothing: Prefetch) -> Prefetch {
        if self.run.is_empty() {
            self.run = self.runs.next().unwrap_or_default();
        }
        let most = steps * BYTES / size_of::<T>();
        if most < self.run.len() {
            let (now, later) = self.run.split_at(most);
            self.run = later;
            return Prefetch { from: now.as_ptr().cast(), stride: BYTES };
        }
        if self.run.is_empty() {
            return nothing;
        }
        let last = std::mem::take(&mut self.run);
        Prefetch { from: last.as_ptr().cast(), stride: size_of_val(last).div_ceil(steps) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_every_run_is_prefetched_and_then_nothing() {
        const LINE: usize = 64;
        let memory: Vec<f32> = vec![0.0; 10_000];
        let runs = [&memory[..1000], &memory[1000..1003], &memory[4000..9000]];
        let line = |element: &f32| std::ptr::from_ref(element).addr() / LINE;
        let mut left: std::collections::BTreeSet<usize> = runs.iter().copied().flatten().map(line).collect();
        let mut iter = runs.into_iter();
        let mut stream = PrefetchStream::new(&mut iter);
        let nothing = Prefetch::nothing(&memory);
        for product in 0..1000 {
            let steps = 1 + product % 130;
            let Prefetch { from, stride } = stream.take(steps, nothing);
            for step in 0..steps {
                left.remove(&((from.addr() + step * stride) / LINE));
            }
            if stride > 0 {
                // The last line of a remainder that is not a whole number of steps.
                left.remove(&((from.addr() + steps * stride - 1) / LINE));
            }
        }
        assert!(left.is_empty(), "{} lines were not prefetched", left.len());
        let end = stream.take(7, nothing);
        assert_eq!((end.from, end.stride), (nothing.from, 0));
    }
}

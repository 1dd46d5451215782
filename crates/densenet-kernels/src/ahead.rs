//! Memory that is read next, asked for while the processor multiplies.
//!
//! A band is packed in one go, which waits for memory, and multiplied in another, which leaves memory idle. So products
//! ask, step by step, for what will be packed after them.

/// Bytes that a step of a product asks for at most: half a cache line, since memory that is asked for faster makes the
/// product wait.
const BYTES: usize = 32;

/// Runs of elements that are read next.
pub(crate) struct Ahead<'a, 'b, T> {
    runs: &'b mut dyn Iterator<Item = &'a [T]>,
    run: &'a [T],
}

/// What some steps of a product ask for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T> {
    /// What the first of them asks for; nothing is read there, so it may be anywhere.
    pub from: *const T,
    /// Bytes from there to what the next step asks for.
    pub bytes: usize,
}

impl<'a, 'b, T> Ahead<'a, 'b, T> {
    /// Asks for `runs`, one after the other.
    pub fn new(runs: &'b mut dyn Iterator<Item = &'a [T]>) -> Self {
        Self { runs, run: &[] }
    }

    /// What so many steps of a product ask for.
    #[inline(always)]
    pub fn take(&mut self, steps: usize) -> Asked<T> {
        if self.run.is_empty() {
            self.run = self.runs.next().unwrap_or_default();
        }
        let most = steps * BYTES / size_of::<T>();
        if most < self.run.len() {
            let (now, later) = self.run.split_at(most);
            self.run = later;
            return Asked { from: now.as_ptr(), bytes: BYTES };
        }
        let last = std::mem::take(&mut self.run);
        Asked { from: last.as_ptr(), bytes: size_of_val(last).div_ceil(steps) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_ask_for_every_line_of_every_run_and_then_for_nothing() {
        const LINE: usize = 64;
        let memory: Vec<f32> = vec![0.0; 10_000];
        let runs = [&memory[..1000], &memory[1000..1003], &memory[4000..9000]];
        let line = |element: &f32| std::ptr::from_ref(element).addr() / LINE;
        let mut left: std::collections::BTreeSet<usize> = runs.iter().copied().flatten().map(line).collect();
        let mut iter = runs.into_iter();
        let mut ahead = Ahead::new(&mut iter);
        for product in 0..1000 {
            let steps = 1 + product % 130;
            let Asked { from, bytes } = ahead.take(steps);
            for step in 0..steps {
                left.remove(&((from.addr() + step * bytes) / LINE));
            }
            if bytes > 0 {
                // The last line of what is not a whole number of steps.
                left.remove(&((from.addr() + steps * bytes - 1) / LINE));
            }
        }
        assert!(left.is_empty(), "{} lines were not asked for", left.len());
        assert_eq!(ahead.take(7).bytes, 0);
    }
}

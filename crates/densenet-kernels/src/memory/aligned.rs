//! Memory aligned to cache lines, so that no vector spans two lines.

use std::ops::{Deref, DerefMut};

use bytemuck::Zeroable;

/// Bytes of a cache line.
pub(crate) const CACHE_LINE: usize = 64;

/// An owned slice whose first element is at the start of a cache line.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Zeroable + Clone> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self::within(vec![T::zeroed(); len + CACHE_LINE / size_of::<T>()], len)
    }

    /// Its first `len` elements; the memory grows if necessary, and its content may then be lost.
    pub fn at_least(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            self.memory.resize(len + CACHE_LINE / size_of::<T>(), T::zeroed());
            *self = Self::within(std::mem::take(&mut self.memory), len);
        }
        &mut self[..len]
    }

    /// The first `len` elements of `memory` that are aligned to a line.
    fn within(memory: Vec<T>, len: usize) -> Self {
        // Data that cannot be aligned may be anywhere.
        let start = memory.as_ptr().align_offset(CACHE_LINE).min(memory.len() - len);
        Self { memory, start, len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_a_line_and_keeps_what_is_written_until_it_grows() {
        let mut memory = Aligned::<f32>::default();
        let large = if cfg!(miri) { 2_000 } else { 100_000 };
        for len in [1, 15, 16, 1000, large] {
            assert_eq!(memory.at_least(len).len(), len);
            assert_eq!(memory.as_ptr().addr() % CACHE_LINE, 0, "{len} elements");
            memory.iter_mut().for_each(|value| *value = 1.0);
            let mut moved = Box::new(std::mem::take(&mut memory));
            assert_eq!(moved.at_least(len / 2), vec![1.0; len / 2]);
            memory = *moved;
        }
    }
}

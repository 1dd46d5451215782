//! Working memory of a thread, kept from one operation to the next so that none allocates once warm.

use std::cell::Cell;

use crate::Element;

thread_local! {
    static SINGLE: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static DOUBLE: Cell<Vec<f64>> = const { Cell::new(Vec::new()) };
}

/// Elements that have working memory.
pub trait Scratch: Element {
    /// Runs `work` on `len` elements of this thread's working memory, whose content is left over from earlier work.
    fn scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

/// Takes the memory out while it is used, so that work within work finds an empty one instead of the same.
fn with<T: Element, R>(cell: &Cell<Vec<T>>, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let mut memory = cell.take();
    if memory.len() < len {
        memory.resize(len, T::zero());
    }
    let result = work(&mut memory[..len]);
    cell.set(memory);
    result
}

impl Scratch for f32 {
    fn scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
        SINGLE.with(|cell| with(cell, len, work))
    }
}

impl Scratch for f64 {
    fn scratch<R>(len: usize, work: impl FnOnce(&mut [f64]) -> R) -> R {
        DOUBLE.with(|cell| with(cell, len, work))
    }
}

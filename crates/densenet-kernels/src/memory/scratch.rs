//! Working memory of a thread, kept from one operation to the next so that none allocates once warmed up.

use std::cell::RefCell;

use bytemuck::Pod;

use super::Aligned;

/// Element types that have working memory.
pub trait Scratch: Pod + Default {
    /// Runs `work` on `len` elements of this thread's working memory, which are aligned to a cache line and still hold
    /// the content of earlier work.
    fn scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

/// Takes a buffer off the stack while it is used and puts it back on top: nested work finds the next one, the same
/// every time.
fn with<T: Scratch, R>(stack: &RefCell<Vec<Aligned<T>>>, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let mut memory = stack.borrow_mut().pop().unwrap_or_default();
    let result = work(memory.at_least(len));
    stack.borrow_mut().push(memory);
    result
}

macro_rules! scratch {
    ($($element:ty),*) => {$(
        impl Scratch for $element {
            fn scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
                thread_local! {
                    static MEMORY: RefCell<Vec<Aligned<$element>>> = const { RefCell::new(Vec::new()) };
                }
                MEMORY.with(|stack| with(stack, len, work))
            }
        }
    )*};
}

scratch!(f32, f64, u8, i16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_within_work_has_memory_of_its_own_and_finds_it_again() {
        let addresses = || {
            f64::scratch(7, |outer| {
                outer.fill(1.0);
                let inner = f64::scratch(5, |inner| {
                    inner.fill(2.0);
                    inner.as_ptr()
                });
                assert!(outer.iter().all(|&value| value == 1.0));
                (outer.as_ptr(), inner)
            })
        };
        assert_eq!(addresses(), addresses());
    }
}

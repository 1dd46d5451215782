//! Memory of a training step, in large pages where the system has them: a step goes through all of it again and again,
//! and large pages save address translations.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use densenet_kernels::Scalar;
use memmap2::MmapMut;

use crate::{Error, Result};

/// Elements that begin at a page boundary.
#[derive(Debug)]
pub(super) struct Arena<T> {
    /// `None` if there are no elements.
    memory: Option<MmapMut>,
    elements: PhantomData<T>,
}

impl<T: Scalar> Arena<T> {
    /// An arena of no elements.
    pub fn empty() -> Self {
        Self { memory: None, elements: PhantomData }
    }

    /// An arena of `len` zeros.
    ///
    /// # Errors
    /// The system does not have that much memory.
    pub fn zeros(len: usize) -> Result<Self> {
        let bytes = len.saturating_mul(size_of::<T>());
        let memory = MmapMut::map_anon(bytes).map_err(|reason| Error::Memory { mib: bytes >> 20, reason })?;
        // Small pages will do, too.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory: Some(memory), elements: PhantomData })
    }
}

impl<T: Scalar> Deref for Arena<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.memory.as_deref().map_or(&[], bytemuck::cast_slice)
    }
}

impl<T: Scalar> DerefMut for Arena<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.memory.as_deref_mut().map_or(&mut [], bytemuck::cast_slice_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_have_is_an_error_that_says_how_much() {
        assert!(Arena::<f32>::empty().is_empty());
        let mut arena = Arena::<f64>::zeros(1000).unwrap();
        assert_eq!(*arena, [0.0; 1000]);
        arena[999] = 1.0;
        assert_eq!(arena.iter().sum::<f64>(), 1.0);
        let error = Arena::<f32>::zeros(1 << 50).unwrap_err().to_string();
        assert!(error.contains("4294967296 MiB") && error.contains("smaller batch"), "{error}");
    }
}

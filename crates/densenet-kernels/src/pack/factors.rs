//! Packed input and weights as the factors of a product.

use bytemuck::cast_slice_mut;
use half::bf16;

use super::input::Input;
use super::layout::Layout;
use crate::gemm::Factors;
use crate::parallel::RowBlock;
use crate::scalar::{Bf16, Scalar};
use crate::simd::Simd;

/// Factors as which input and weights can be packed.
pub trait PackedFactors: Factors {
    /// The packed form of `value`.
    fn weight(value: Self::Accumulator) -> Self::Weight;

    /// Working memory, in numbers, for packing this many elements.
    fn memory(elements: usize) -> usize;

    /// Packs the part of `input` that `block` reads into `memory`, and returns it.
    fn pack<'a, S: Simd<T = Self::Accumulator>>(
        simd: S,
        input: &Input<'_, Self::Accumulator>,
        layout: &Layout,
        block: &RowBlock,
        memory: &'a mut [Self::Accumulator],
    ) -> &'a [Self::Input];
}

impl<T: Scalar> PackedFactors for T {
    fn weight(value: T) -> T {
        value
    }

    fn memory(elements: usize) -> usize {
        elements
    }

    #[inline(always)]
    fn pack<'a, S: Simd<T = T>>(
        simd: S,
        input: &Input<'_, T>,
        layout: &Layout,
        block: &RowBlock,
        memory: &'a mut [T],
    ) -> &'a [T] {
        input.pack(simd, layout, block, memory);
        memory
    }
}

impl<T: Scalar> PackedFactors for Bf16<T> {
    fn weight(value: T) -> bf16 {
        value.bf16()
    }

    fn memory(elements: usize) -> usize {
        elements + (elements * size_of::<bf16>()).div_ceil(size_of::<T>())
    }

    #[inline(always)]
    fn pack<'a, S: Simd<T = T>>(
        simd: S,
        input: &Input<'_, T>,
        layout: &Layout,
        block: &RowBlock,
        memory: &'a mut [T],
    ) -> &'a [bf16] {
        let (numbers, rounded) = memory.split_at_mut(layout.len(block.rows.len()));
        let (rounded, _) = cast_slice_mut(rounded).split_at_mut(numbers.len());
        input.pack(simd, layout, block, numbers);
        simd.round_to_bf16(numbers, rounded);
        rounded
    }
}

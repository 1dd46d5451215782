//! The memory of a training step: one arena, laid out as a stack.
//!
//! The forward pass stores what the backward pass needs in order: the stem's output, then for each block its feature
//! maps and the bottlenecks' outputs. The backward pass proceeds from the last block to the first, so everything after
//! the current block is no longer needed, and that block's gradients go there.

use densenet_kernels::Grid;
use serde::{Deserialize, Serialize};

use super::shape::conv_shape;
use crate::architecture::Block;
use crate::{Architecture, Result};

/// What a training step keeps from its forward pass for its backward pass. Both settings give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Feature maps and the bottlenecks' outputs.
    #[default]
    Normal,
    /// Feature maps, and as many of the bottlenecks' outputs, from the last layer back, as fit into the memory that the
    /// gradients need later anyway; the rest are recomputed in the backward pass (activation checkpointing).
    Low,
}

impl Memory {
    /// Bytes that a training step on `images` pictures of `height` x `width` keeps from its forward pass and needs for
    /// its backward pass, in single precision. Pictures and parameters are not included.
    ///
    /// # Errors
    /// Pictures that are too small for the network.
    pub fn step_bytes(self, architecture: &Architecture, [images, height, width]: [usize; 3]) -> Result<usize> {
        let sizes = architecture.block_sizes(height, width)?;
        let plan = Plan::new(architecture, Grid { images, height, width }, &sizes, self);
        Ok(plan.len * size_of::<f32>())
    }
}

/// Where a step's values are in its arena, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Output of the stem's convolution, if a batch-norm reads it; it comes first.
    pub stem: usize,
    pub blocks: Vec<Room>,
    /// Length of the arena in elements.
    pub len: usize,
}

/// Where a block's values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub grid: Grid,
    /// The block's first element in the arena.
    pub start: usize,
    /// Elements of all its feature maps.
    pub maps: usize,
    /// Elements of one bottleneck's output; 0 without bottlenecks.
    pub bottleneck: usize,
    /// Number of layers, from the first, whose bottlenecks are recomputed in the backward pass. They share the same
    /// memory.
    pub recomputed: usize,
    layers: usize,
}

/// The memory of a block, by use.
pub(super) struct Parts<'a, T> {
    /// Its feature maps, one after the other.
    pub maps: &'a mut [T],
    /// Outputs of bottlenecks; [`Room::bottleneck_of`] says which is where.
    pub bottlenecks: &'a mut [T],
    /// Gradients of the feature maps, laid out like the maps; only in the backward pass.
    pub dx: &'a mut [T],
    /// Gradient of one bottleneck's output; only in the backward pass.
    pub bottleneck_gradient: &'a mut [T],
}

impl Plan {
    /// The plan for a step on pictures of `grid`, whose blocks have feature maps of `sizes`.
    pub fn new(arch: &Architecture, grid: Grid, sizes: &[(usize, usize)], memory: Memory) -> Self {
        let layers = arch.blocks.iter().map(|block| block.layers.len()).sum();
        let keeping_from = |first| Self::keeping_from(arch, grid, sizes, first);
        match memory {
            Memory::Normal => keeping_from(0),
            Memory::Low => {
                let least = keeping_from(layers);
                (0..layers).map(keeping_from).find(|plan| plan.len <= least.len).unwrap_or(least)
            }
        }
    }

    /// The plan that keeps the bottlenecks of the network's layers from number `first` on.
    fn keeping_from(arch: &Architecture, grid: Grid, sizes: &[(usize, usize)], first: usize) -> Self {
        let raw = conv_shape(&arch.stem_conv).window.output(grid).pixels() * arch.stem_conv.out_channels;
        let stem = if arch.stem_norm.is_some() { raw } else { 0 };
        // The stem's gradient follows it once all blocks are done.
        let mut plan = Self { stem, blocks: Vec::new(), len: 2 * stem };
        let (mut start, mut recomputed) = (stem, first);
        for (block, &(height, width)) in arch.blocks.iter().zip(sizes) {
            let room = Room::new(block, Grid { height, width, ..grid }, start, recomputed.min(block.layers.len()));
            recomputed -= room.recomputed;
            start += room.kept();
            plan.len = plan.len.max(room.start + room.needed());
            plan.blocks.push(room);
        }
        plan
    }

    /// The stem's output and memory for its gradient, of the same length.
    pub fn stem<'a, T>(&self, arena: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        let (raw, rest) = arena.split_at_mut(self.stem);
        (raw, &mut rest[..self.stem])
    }
}

impl Room {
    fn new(block: &Block, grid: Grid, start: usize, recomputed: usize) -> Self {
        let pixels = grid.pixels();
        let bottleneck = block.layers.first().and_then(|layer| layer.bottleneck.as_ref());
        Self {
            grid,
            start,
            maps: block.widths().sum::<usize>() * pixels,
            bottleneck: bottleneck.map_or(0, |bottleneck| bottleneck.conv.out_channels * pixels),
            recomputed,
            layers: block.layers.len(),
        }
    }

    /// Elements kept until the block's turn in the backward pass.
    fn kept(&self) -> usize {
        self.maps + (self.layers - self.recomputed) * self.bottleneck
    }

    /// Elements at that turn.
    fn needed(&self) -> usize {
        self.maps + self.bottlenecks() + self.maps + self.bottleneck
    }

    /// Elements of the bottlenecks' outputs: the kept ones, then the memory shared by the recomputed ones.
    fn bottlenecks(&self) -> usize {
        (self.layers - self.recomputed + self.recomputed.min(1)) * self.bottleneck
    }

    /// Where the output of layer `i`'s bottleneck is in [`Parts::bottlenecks`].
    pub fn bottleneck_of(&self, i: usize) -> std::ops::Range<usize> {
        let place = i.checked_sub(self.recomputed).unwrap_or(self.layers - self.recomputed);
        place * self.bottleneck..(place + 1) * self.bottleneck
    }

    /// The block's feature maps and bottlenecks, given the arena `from_start` of the block on.
    pub fn kept_parts<'a, T>(&self, from_start: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        let (maps, rest) = from_start.split_at_mut(self.maps);
        (maps, &mut rest[..self.bottlenecks()])
    }

    /// The block's parts of `arena`, where only the memory before the block is still needed.
    pub fn parts<'a, T>(&self, arena: &'a mut [T]) -> Parts<'a, T> {
        let (maps, rest) = arena[self.start..].split_at_mut(self.maps);
        let (bottlenecks, rest) = rest.split_at_mut(self.bottlenecks());
        let (dx, rest) = rest.split_at_mut(self.maps);
        Parts { maps, bottlenecks, dx, bottleneck_gradient: &mut rest[..self.bottleneck] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn plan(model: &str, images: usize, memory: Memory) -> Plan {
        let config = Config::preset(model).unwrap();
        let (arch, extent) = (Architecture::new(&config).unwrap(), config.input_size);
        let sizes = arch.block_sizes(extent, extent).unwrap();
        Plan::new(&arch, Grid { images, height: extent, width: extent }, &sizes, memory)
    }

    /// Values per image that DenseNet-121 keeps: 64 channels of 112x112, then 256, 512, 1024 and 1024 from the blocks.
    const STEM: usize = 64 * 112 * 112;
    const MAPS: usize = 256 * 56 * 56 + 512 * 28 * 28 + 1024 * 14 * 14 + 1024 * 7 * 7;

    #[test]
    fn densenet121_by_hand() {
        let normal = plan("densenet121", 2, Memory::Normal);
        let bottlenecks = 128 * (6 * 56 * 56 + 12 * 28 * 28 + 24 * 14 * 14 + 16 * 7 * 7);
        // The peak is at the third block, whose gradients take more than everything that the fourth keeps and needs.
        let fourth = (1024 + 128 * 16) * 7 * 7;
        assert_eq!(normal.len, 2 * (STEM + MAPS + bottlenecks - fourth + (1024 + 128) * 14 * 14));
        let low = plan("densenet121", 2, Memory::Low);
        // The peak is at the first block: its maps, their gradient, one bottleneck and its gradient.
        assert_eq!(low.len, 2 * (STEM + 2 * 256 * 56 * 56 + 2 * 128 * 56 * 56));
        let recomputed = |plan: &Plan| plan.blocks.iter().map(|room| room.recomputed).collect::<Vec<_>>();
        assert_eq!((recomputed(&normal), recomputed(&low)), (vec![0; 4], vec![6, 11, 0, 0]));
    }

    #[test]
    fn parts_lie_apart_and_in_the_arena() {
        for (model, memory) in
            [("densenet-bc-40-12", Memory::Normal), ("densenet-bc-40-12", Memory::Low), ("seed", Memory::Low)]
        {
            let plan = plan(model, 1, memory);
            let mut arena = vec![0u8; plan.len];
            plan.stem(&mut arena).0.fill(1);
            for room in &plan.blocks {
                let Parts { maps, bottlenecks, .. } = room.parts(&mut arena);
                assert!(maps.iter().all(|&value| value == 0));
                maps.fill(1);
                let kept = room.recomputed..room.layers;
                kept.for_each(|i| bottlenecks[room.bottleneck_of(i)].iter_mut().for_each(|value| *value += 1));
                assert!(bottlenecks.iter().all(|&value| value <= 1));
            }
            let kept = plan.stem + plan.blocks.iter().map(Room::kept).sum::<usize>();
            assert_eq!(arena.iter().filter(|&&value| value == 1).count(), kept);
        }
    }
}

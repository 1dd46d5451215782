//! Feature maps: the memory of a dense block.
//!
//! A block is one buffer. Its feature maps lie one behind the other in the order they were made (the block's input,
//! then each layer's output), each channels-last: `[image][y][x][channel]`. So a layer reads everything before a
//! point of the buffer and writes what follows it, nothing is ever concatenated, and each map is contiguous.

use std::ops::Range;

/// Extents that all feature maps of a block share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Images.
    pub images: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
}

impl Grid {
    /// Pixels in all.
    pub fn pixels(self) -> usize {
        self.images * self.height * self.width
    }

    /// The same pixels as one column of one image.
    pub(crate) fn flattened(self) -> Self {
        Self { images: 1, height: self.pixels(), width: 1 }
    }

    /// Extents behind 2x2 pooling of stride 2.
    pub fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2, ..self }
    }
}

/// Feature maps that are read together, as if concatenated along the channels.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'a, T> {
    data: &'a [T],
    grid: Grid,
    widths: &'a [usize],
}

impl<'a, T> Maps<'a, T> {
    /// Maps of `widths` channels, one behind the other in `data`.
    ///
    /// # Panics
    /// `data` is not as long as the maps.
    pub fn new(data: &'a [T], grid: Grid, widths: &'a [usize]) -> Self {
        let channels: usize = widths.iter().sum();
        assert_eq!(data.len(), channels * grid.pixels(), "{channels} channels of {grid:?}");
        Self { data, grid, widths }
    }

    /// The same maps, their pixels in one column.
    pub(crate) fn flattened(self) -> Self {
        Self { grid: self.grid.flattened(), ..self }
    }

    /// Their extents.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Channels of each map.
    pub fn widths(&self) -> &'a [usize] {
        self.widths
    }

    /// Channels of all maps together.
    pub fn channels(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Each map: its first channel in the concatenation, its width, its elements.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, &'a [T])> + use<'a, T> {
        let (pixels, mut rest, mut channel) = (self.grid.pixels(), self.data, 0);
        self.widths.iter().map(move |&width| {
            let (map, behind) = rest.split_at(pixels * width);
            let first = channel;
            rest = behind;
            channel += width;
            (first, width, map)
        })
    }

    /// Those of `pixels`, counted over all images, that there are: of each map whose first channel is one of `channels`.
    pub(crate) fn runs(
        &self,
        pixels: Range<usize>,
        channels: Range<usize>,
    ) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let begins = self.iter().filter(move |(first, ..)| channels.contains(first));
        begins.map(move |(_, width, map)| run(map, width, &pixels))
    }
}

/// Those of `pixels` that there are, of a `map` of `width` channels.
pub(crate) fn run<'a, T>(map: &'a [T], width: usize, pixels: &Range<usize>) -> &'a [T] {
    let end = (pixels.end * width).min(map.len());
    &map[(pixels.start * width).min(end)..end]
}

/// The maps of `buffer`, each for writing.
pub(crate) fn split_mut<'a, T>(mut buffer: &'a mut [T], pixels: usize, widths: &[usize]) -> Vec<&'a mut [T]> {
    assert_eq!(buffer.len(), pixels * widths.iter().sum::<usize>(), "maps of {widths:?} channels and {pixels} pixels");
    widths
        .iter()
        .map(|&width| {
            let (map, behind) = std::mem::take(&mut buffer).split_at_mut(pixels * width);
            buffer = behind;
            map
        })
        .collect()
}

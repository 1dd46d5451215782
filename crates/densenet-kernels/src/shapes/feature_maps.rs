//! Feature maps: the memory of a dense block.
//!
//! A block is one buffer. Its feature maps are stored one after the other in the order in which they were made (the
//! block's input, then each layer's output), each channels-last: `[image][y][x][channel]`. So a layer reads everything
//! before a point of the buffer and writes what follows it, nothing is ever concatenated, and each map is contiguous.

use std::ops::Range;

use super::Grid;

/// Feature maps that are read together, as if concatenated along the channels.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMaps<'a, T> {
    data: &'a [T],
    grid: Grid,
    map_channels: &'a [usize],
}

/// One of several feature maps.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMap<'a, T> {
    /// Its first channel in the concatenation.
    pub first: usize,
    /// Its channels.
    pub channels: usize,
    /// Its elements, `[image][y][x][channel]`.
    pub data: &'a [T],
}

impl<'a, T> FeatureMaps<'a, T> {
    /// Maps of `map_channels` channels, one after the other in `data`.
    ///
    /// # Panics
    /// If `data` is not as long as the maps.
    pub fn new(data: &'a [T], grid: Grid, map_channels: &'a [usize]) -> Self {
        let channels: usize = map_channels.iter().sum();
        assert_eq!(data.len(), channels * grid.pixels(), "{channels} channels of {grid:?}");
        Self { data, grid, map_channels }
    }

    /// The first `count` maps.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first(self, count: usize) -> Self {
        let map_channels = &self.map_channels[..count];
        let channels: usize = map_channels.iter().sum();
        Self { data: &self.data[..channels * self.grid.pixels()], map_channels, ..self }
    }

    /// The same maps, with their pixels in one column.
    pub(crate) fn flattened(self) -> Self {
        Self { grid: self.grid.flattened(), ..self }
    }

    /// The extents that all maps share.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Channels of each map.
    pub fn map_channels(&self) -> &'a [usize] {
        self.map_channels
    }

    /// Channels of all maps together.
    pub fn channels(&self) -> usize {
        self.map_channels.iter().sum()
    }

    /// Each map, in the order of the concatenation.
    pub fn iter(&self) -> impl Iterator<Item = FeatureMap<'a, T>> + use<'a, T> {
        let (pixels, mut rest, mut first) = (self.grid.pixels(), self.data, 0);
        self.map_channels.iter().map(move |&channels| {
            let (data, next) = rest.split_at(pixels * channels);
            let map = FeatureMap { first, channels, data };
            rest = next;
            first += channels;
            map
        })
    }

    /// The elements of `pixels`, counted over all images, of each map whose first channel is one of `channels`. Pixels past
    /// the end are left out.
    pub(crate) fn runs(
        &self,
        pixels: Range<usize>,
        channels: Range<usize>,
    ) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let maps = self.iter().filter(move |map| channels.contains(&map.first));
        maps.map(move |map| pixels_of(map.data, map.channels, &pixels))
    }
}

/// The elements of `pixels` of a `map` with this many channels. Pixels past the end are left out.
pub(crate) fn pixels_of<'a, T>(map: &'a [T], channels: usize, pixels: &Range<usize>) -> &'a [T] {
    let end = (pixels.end * channels).min(map.len());
    &map[(pixels.start * channels).min(end)..end]
}

/// The maps of `buffer`, each for writing.
pub(crate) fn split_mut<'a, T>(mut buffer: &'a mut [T], pixels: usize, map_channels: &[usize]) -> Vec<&'a mut [T]> {
    let channels: usize = map_channels.iter().sum();
    assert_eq!(buffer.len(), pixels * channels, "maps of {map_channels:?} channels and {pixels} pixels");
    let maps =
        map_channels.iter().map(|&channels| buffer.split_off_mut(..pixels * channels).expect("as long as all maps"));
    maps.collect()
}

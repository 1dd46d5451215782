//! How an operation's output is cut into pieces of work.
//!
//! The cut depends on shapes alone, never on the number of threads, and every sum over pixels is taken piece by piece in
//! a fixed order: the same input gives the same bits on one thread or sixteen. Pieces are claimed by halving
//! ([`rayon::join`]), so a thread never waits for one that has not started.

use std::ops::Range;

use rayon::prelude::*;

use crate::isa::Dispatch;
use crate::maps::{Grid, split_mut};
use crate::norm::{Moments, NormGradient, band_moments};

/// Elements of packed input that a piece may hold: in `f32` 256 KiB, half of a common second-level cache.
const PATCH: usize = 64 * 1024;

/// Elements of transformed input that a piece may hold: more, since every piece reads all of the transformed weights.
const TRANSFORMED: usize = 80 * 1024;

/// Rows that a low band may have.
pub(crate) const LOW: usize = 64;

/// Rows of the largest micro-tile, which shares the weights among them.
const TILE_ROWS: usize = 14;

/// Bands of whole rows, the same number in every image, or cut from all images as if one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bands {
    grid: Grid,
    /// Images that are cut as one: 1 or all.
    together: usize,
    /// Bands of those.
    count: usize,
    /// Rows that stay together: 1, or more where the operation pools or works tile by tile.
    granule: usize,
    /// Granules of an image.
    granules: usize,
}

/// One band: some rows of an image, or of an image and those behind it.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// Its image.
    pub image: usize,
    /// Its rows, on from that image's first.
    pub rows: Range<usize>,
}

/// A band's part of each map of a buffer of gradients, and its sums, zero at first and `[map][2][width]`.
pub(crate) struct BandMaps<'a, T> {
    pub band: Band,
    pub maps: Vec<&'a mut [T]>,
    pub sums: &'a mut [T],
}

/// Bands of at most `most` of so many granules; an even number shares them evenly between two threads.
fn evenly(granules: usize, most: usize) -> usize {
    granules.div_ceil(most.clamp(1, granules)).next_multiple_of(2).min(granules)
}

impl Bands {
    /// Cuts `grid` so that a band's packed input, `row` elements for each of its rows, stays in the cache.
    pub fn new(grid: Grid, row: usize) -> Self {
        Self::cut(grid, (1, grid.height), PATCH / row.max(1))
    }

    /// [`Self::new`] for work that counts a band's rows: [`LOW`] at most.
    pub fn low(grid: Grid, row: usize) -> Self {
        Self::cut(grid, (1, grid.height), (PATCH / row.max(1)).min(LOW))
    }

    /// Cuts `grid` between pairs of rows, `row` elements of packed input for each pair; an odd last row goes with the
    /// pair above it.
    pub fn pairs(grid: Grid, row: usize) -> Self {
        Self::cut(grid, (2, grid.height / 2), PATCH / row.max(1))
    }

    /// Cuts `grid`, all images as one, between rows of tiles of height `tile`, `across` tiles each and `row` elements of
    /// transformed input.
    pub fn tiles(grid: Grid, (across, row): (usize, usize), tile: usize) -> Self {
        let most = (TRANSFORMED / row.max(1)).max(TILE_ROWS.div_ceil(across));
        let granules = grid.height.div_ceil(tile);
        let count = evenly(granules * grid.images, most);
        Self { grid, together: grid.images, count, granule: tile, granules }
    }

    /// Cuts all pixels, as one column, into bands of at most `most`, which fill the micro-tile.
    pub fn of_pixels(grid: Grid, most: usize) -> Self {
        let column = grid.flattened();
        Self::cut(column, (TILE_ROWS, column.height.div_ceil(TILE_ROWS)), most / TILE_ROWS)
    }

    /// One band an image.
    pub fn images(grid: Grid) -> Self {
        Self::cut(Grid { images: 1, height: grid.images, width: grid.height * grid.width }, (1, grid.images), 1)
    }

    /// Cuts each image's `granules`, `granule` rows each, into bands of `most`.
    fn cut(grid: Grid, (granule, granules): (usize, usize), most: usize) -> Self {
        Self { grid, together: 1, count: evenly(granules, most), granule, granules }
    }

    /// Bands in all.
    pub fn len(&self) -> usize {
        self.grid.images / self.together * self.count
    }

    /// The band of that number.
    pub fn get(&self, index: usize) -> Band {
        let (part, band) = (index / self.count, index % self.count);
        let row = |band: usize| {
            let granule = band * self.granules * self.together / self.count;
            granule / self.granules * self.grid.height + granule % self.granules * self.granule
        };
        Band { image: part * self.together, rows: row(band)..row(band + 1) }
    }

    /// Pixels of `band`, counted over all images.
    pub fn pixels(&self, band: &Band) -> Range<usize> {
        let pixel = |row: usize| (band.image * self.grid.height + row) * self.grid.width;
        pixel(band.rows.start)..pixel(band.rows.end)
    }

    /// As many pixels behind `band`: about what its thread works on next.
    pub fn behind(&self, band: &Band) -> Range<usize> {
        let pixels = self.pixels(band);
        pixels.end..pixels.end + pixels.len()
    }

    /// Pixels before the band of that number.
    fn pixels_before(&self, index: usize) -> usize {
        if index == self.len() { self.grid.pixels() } else { self.pixels(&self.get(index)).start }
    }

    /// Runs `work` on every band with its part of `output`, `width` elements a pixel, and its `slot` elements of `slots`.
    pub fn run<T: Send>(
        &self,
        (output, width): (&mut [T], usize),
        (slots, slot): (&mut [T], usize),
        work: &(impl Fn(Band, &mut [T], &mut [T]) + Sync),
    ) {
        assert_eq!(output.len(), self.grid.pixels() * width, "output of {:?} by {width}", self.grid);
        assert_eq!(slots.len(), self.len() * slot, "slots of {} bands", self.len());
        self.halve(0..self.len(), (output, width), (slots, slot), work);
    }

    /// [`Self::run`] for work that makes feature maps, and the batch statistics of what it makes: taken band by band, while
    /// the cache still holds it.
    pub fn run_with_moments<T: Dispatch>(
        &self,
        (output, width): (&mut [T], usize),
        work: &(impl Fn(Band, &mut [T]) + Sync),
    ) -> Moments<T> {
        let mut slots = vec![T::zero(); self.len() * 2 * width];
        self.run((output, width), (&mut slots, 2 * width), &|band, output, slot| {
            work(band, output);
            band_moments(output, slot);
        });
        Moments::merge(&slots, width, (0..self.len()).map(|i| self.pixels(&self.get(i)).len()))
    }

    /// Runs `work` on every band with its part of each map of a `buffer` of gradients, and adds up the sums, zero at first
    /// and `[map][2][width]`, that it leaves.
    pub fn run_maps<T: Dispatch>(
        &self,
        (buffer, widths): (&mut [T], &[usize]),
        work: &(impl Fn(Band, &mut [&mut [T]], &mut [T]) + Sync),
    ) -> NormGradient<T> {
        self.summed_maps((buffer, widths), |mut bands| {
            bands
                .par_iter_mut()
                .with_max_len(1)
                .for_each(|BandMaps { band, maps, sums }| work(band.clone(), maps, sums));
        })
    }

    /// Cuts each map of a `buffer` of gradients into bands, has `work` done on them, and adds up the sums that it leaves.
    pub fn summed_maps<T: Dispatch>(
        &self,
        (buffer, widths): (&mut [T], &[usize]),
        work: impl FnOnce(Vec<BandMaps<'_, T>>),
    ) -> NormGradient<T> {
        let slot = 2 * widths.iter().sum::<usize>();
        let mut slots = vec![T::zero(); self.len() * slot];
        let parts = slots.chunks_exact_mut(slot).enumerate();
        let parts = parts.map(|(i, sums)| BandMaps { band: self.get(i), maps: Vec::with_capacity(widths.len()), sums });
        let mut parts: Vec<_> = parts.collect();
        for (mut map, width) in split_mut(buffer, self.grid.pixels(), widths).into_iter().zip(widths) {
            for part in &mut parts {
                let (here, behind) = map.split_at_mut(self.pixels(&part.band).len() * width);
                part.maps.push(here);
                map = behind;
            }
        }
        work(parts);
        NormGradient::merge(&slots, widths)
    }

    fn halve<T: Send>(
        &self,
        range: Range<usize>,
        (output, width): (&mut [T], usize),
        (slots, slot): (&mut [T], usize),
        work: &(impl Fn(Band, &mut [T], &mut [T]) + Sync),
    ) {
        match range.len() {
            0 => {}
            1 => work(self.get(range.start), output, slots),
            n => {
                let middle = range.start + n / 2;
                let pixels = self.pixels_before(middle) - self.pixels_before(range.start);
                let (output, output_behind) = output.split_at_mut(pixels * width);
                let (slots, slots_behind) = slots.split_at_mut(n / 2 * slot);
                rayon::join(
                    || self.halve(range.start..middle, (output, width), (slots, slot), work),
                    || self.halve(middle..range.end, (output_behind, width), (slots_behind, slot), work),
                );
            }
        }
    }
}

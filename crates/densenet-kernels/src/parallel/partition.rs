//! How an operation's output is cut into row blocks, and a row block into column blocks.
//!
//! In training the cut depends on shapes alone, never on the number of threads, and every sum over pixels is computed
//! row block by row block in a fixed order. In inference no sum runs over pixels, so the cut may depend on the number
//! of threads: each output is the same sum over K wherever it is computed. So the same input gives the same bits on one
//! thread or sixteen. Pieces are claimed by halving ([`rayon::join`]), so a thread never waits for one that has not
//! started.

use std::ops::Range;

use crate::shapes::Grid;
use crate::simd::strided::MatrixMut;

/// Elements of packed input that a row block may have: 256 KiB in `f32`, half of a typical second-level cache.
const PACKED: usize = 64 * 1024;

/// Elements of Winograd's transformed input that a row block may have: more, since every row block reads all of the
/// transformed weights.
const TRANSFORMED: usize = 80 * 1024;

/// The most rows of a block of [`Partition::low`].
pub(crate) const MAX_ROWS: usize = 64;

/// Rows of the largest micro-tile, which share the weights.
const TILE_ROWS: usize = 14;

/// A cut of the rows of all images into blocks of whole rows: the same number in every image, or with all images as
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    grid: Grid,
    /// Images that are cut as one: 1 or all.
    images: usize,
    /// Row blocks of those images.
    count: usize,
    /// Rows that stay together: 1, or more where the operation pools or works tile by tile.
    unit: usize,
    /// Units of one image.
    units: usize,
    /// The smallest number of blocks such that each fits into the cache.
    least: usize,
    /// The fewest units of a block that is cut only for the sake of threads.
    fewest: usize,
}

/// A row block: some rows of an image, or of an image and those after it.
#[derive(Clone, Debug)]
pub(crate) struct RowBlock {
    /// Its first image.
    pub image: usize,
    /// Its rows, counted from that image's first.
    pub rows: Range<usize>,
}

/// A run of rows that stay together: `unit` rows each, `units` in an image.
#[derive(Clone, Copy)]
struct Units {
    unit: usize,
    units: usize,
}

impl Partition {
    /// Cuts `grid` so that the packed input of a row block, `row` elements for each of its rows, stays in the cache.
    pub fn new(grid: Grid, row: usize) -> Self {
        Self::cut(grid, Units { unit: 1, units: grid.height }, PACKED / row.max(1))
    }

    /// [`Self::new`] for work that keeps a list of a block's rows: at most [`MAX_ROWS`].
    pub fn low(grid: Grid, row: usize) -> Self {
        Self::cut(grid, Units { unit: 1, units: grid.height }, (PACKED / row.max(1)).min(MAX_ROWS))
    }

    /// Cuts `grid` between pairs of rows, with `row` elements of packed input for each pair; an odd last row stays with
    /// the pair above it.
    pub fn pairs(grid: Grid, row: usize) -> Self {
        Self::cut(grid, Units { unit: 2, units: grid.height / 2 }, PACKED / row.max(1))
    }

    /// Cuts `grid`, all images as one, between rows of Winograd's tiles of height `tile`, `across` tiles each and `row`
    /// elements of transformed input.
    pub fn tiles(grid: Grid, across: usize, row: usize, tile: usize) -> Self {
        let most = (TRANSFORMED / row.max(1)).max(TILE_ROWS.div_ceil(across));
        let units = grid.height.div_ceil(tile);
        let least = blocks(units * grid.images, most);
        let count = even(least, units * grid.images);
        Self { grid, images: grid.images, count, unit: tile, units, least, fewest: 1 }
    }

    /// Cuts all pixels, as one column, into blocks of at most `most` pixels, which fill micro-tiles.
    pub fn of_pixels(grid: Grid, most: usize) -> Self {
        let column = grid.flattened();
        let units = Units { unit: TILE_ROWS, units: column.height.div_ceil(TILE_ROWS) };
        Self::cut(column, units, most / TILE_ROWS)
    }

    /// One row block per image.
    pub fn images(grid: Grid) -> Self {
        let images = Grid { images: 1, height: grid.images, width: grid.height * grid.width };
        Self::cut(images, Units { unit: 1, units: grid.images }, 1)
    }

    /// Cuts the units of each image into blocks of at most `most`.
    fn cut(grid: Grid, Units { unit, units }: Units, most: usize) -> Self {
        let least = blocks(units, most);
        let fewest = TILE_ROWS.div_ceil(unit * grid.width);
        Self { grid, images: 1, count: even(least, units), unit, units, least, fewest }
    }

    /// For operations without sums over pixels: cuts finer, so that as few of `threads` threads as possible are idle,
    /// and also returns into how many column blocks, at most `columns`, each row block is best cut.
    pub fn for_threads(self, threads: usize, columns: usize) -> (Self, usize) {
        let parts = self.grid.images / self.images;
        let most = (self.units * self.images / self.fewest).max(self.least);
        // Time of the last thread to finish, in units of the whole work; ties go to the coarsest cut.
        let time = |count: usize, columns: usize| {
            let pieces = parts * count * columns;
            pieces.div_ceil(threads) as f64 / pieces as f64
        };
        let (mut best, mut cut) = (f64::INFINITY, (self.least, 1));
        for columns in 1..=columns.min(threads) {
            for count in self.least..=most.min(self.least + threads) {
                if time(count, columns) < best {
                    (best, cut) = (time(count, columns), (count, columns));
                }
            }
        }
        (Self { count: cut.0, ..self }, cut.1)
    }

    /// The total number of row blocks.
    pub fn len(&self) -> usize {
        self.grid.images / self.images * self.count
    }

    /// The row block with this number.
    pub fn get(&self, index: usize) -> RowBlock {
        let (part, block) = (index / self.count, index % self.count);
        let row = |block: usize| {
            let unit = block * self.units * self.images / self.count;
            unit / self.units * self.grid.height + unit % self.units * self.unit
        };
        RowBlock { image: part * self.images, rows: row(block)..row(block + 1) }
    }

    /// Pixels of `block`, counted over all images.
    pub fn pixels(&self, block: &RowBlock) -> Range<usize> {
        let pixel = |row: usize| (block.image * self.grid.height + row) * self.grid.width;
        pixel(block.rows.start)..pixel(block.rows.end)
    }

    /// As many pixels after `block`: approximately what its thread works on next.
    pub fn next_pixels(&self, block: &RowBlock) -> Range<usize> {
        let pixels = self.pixels(block);
        pixels.end..pixels.end + pixels.len()
    }

    /// Pixels before the row block with this number.
    fn pixels_before(&self, index: usize) -> usize {
        if index == self.len() { self.grid.pixels() } else { self.pixels(&self.get(index)).start }
    }

    /// Runs `work` on every row block with its rows of `output`, one per pixel.
    pub fn run<T: Send>(&self, output: MatrixMut<'_, T>, work: &(impl Fn(RowBlock, MatrixMut<'_, T>) + Sync)) {
        self.run_with_slots(output, &mut [], 0, &|block, output, _| work(block, output));
    }

    /// [`Self::run`] for work that also writes `slot` elements in `slots` for each row block.
    pub fn run_with_slots<T: Send>(
        &self,
        output: MatrixMut<'_, T>,
        slots: &mut [T],
        slot: usize,
        work: &(impl Fn(RowBlock, MatrixMut<'_, T>, &mut [T]) + Sync),
    ) {
        assert_eq!(output.rows(), self.grid.pixels(), "output of {:?}", self.grid);
        assert_eq!(slots.len(), self.len() * slot, "slots of {} row blocks", self.len());
        self.halve(0..self.len(), output, slots, work);
    }

    fn halve<T: Send>(
        &self,
        blocks: Range<usize>,
        output: MatrixMut<'_, T>,
        slots: &mut [T],
        work: &(impl Fn(RowBlock, MatrixMut<'_, T>, &mut [T]) + Sync),
    ) {
        match blocks.len() {
            0 => {}
            1 => work(self.get(blocks.start), output, slots),
            count => {
                let middle = blocks.start + count / 2;
                let pixels = self.pixels_before(middle) - self.pixels_before(blocks.start);
                let (output, next_output) = output.split_rows(pixels);
                let (slots, next_slots) = slots.split_at_mut(slots.len() / count * (count / 2));
                rayon::join(
                    || self.halve(blocks.start..middle, output, slots, work),
                    || self.halve(middle..blocks.end, next_output, next_slots, work),
                );
            }
        }
    }
}

/// The smallest number of blocks of at most `most` units.
fn blocks(units: usize, most: usize) -> usize {
    units.div_ceil(most.clamp(1, units))
}

/// As many blocks, or one more if there are enough `units`: an even number divides evenly between two threads.
fn even(blocks: usize, units: usize) -> usize {
    blocks.next_multiple_of(2).min(units)
}

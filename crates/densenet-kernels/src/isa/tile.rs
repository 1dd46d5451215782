//! Products, and the micro-kernel that they are made of: a few rows by a few vectors, held in registers over the whole depth.
#![allow(unsafe_code)]

use super::{MOST_LANES, Operation, Simd};
use crate::Element;
use crate::ahead::{Ahead, Asked};
use crate::aligned::LINE;

/// What the sums are added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    /// Zeros.
    Zero,
    /// One value a column.
    Columns(&'a [T]),
    /// What the output holds.
    Output,
}

/// `c[i][j] = max(floor, start + sum over t, k of a[taps[t] + i * row + k * step] * b[(t * depth + k) * panel + j])`
///
/// for `i` below `rows` and `j` below `columns`, where `panel` is the width of `b` in elements.
/// Either `row` or `step` is 1: rows are pixels and depth is channels (forward, data gradient), or rows are channels
/// and depth is pixels (weight gradient).
pub struct Product<'a, T> {
    /// Left operand.
    pub a: &'a [T],
    /// Distance of rows in `a`.
    pub row: usize,
    /// Distance of depth steps in `a`.
    pub step: usize,
    /// Starts in `a` of each run of `depth` steps.
    pub taps: &'a [usize],
    /// Steps of a run.
    pub depth: usize,
    /// Right operand, `[taps * depth][vectors * LANES]`.
    pub b: &'a [T],
    /// Rows wanted.
    pub rows: usize,
    /// Width in vectors, 1 to 3.
    pub vectors: usize,
    /// Columns wanted, at most `vectors * LANES`.
    pub columns: usize,
    /// Lower bound of the result: zero rectifies, minus infinity does nothing.
    pub floor: T,
    /// Whether it asks for the memory that it writes to, which is not in the cache, so that stores need not wait for it.
    pub asks: bool,
}

/// Where a micro-tile of a product begins, with the elements from one row to the next.
pub struct Origin<T> {
    /// In the left operand.
    pub a: *const T,
    /// In what the sums are added to; a null pointer stands for zeros.
    pub start: (*const T, usize),
    /// In the output.
    pub c: (*mut T, usize),
    /// What its steps ask memory for.
    pub ahead: Asked<T>,
}

impl<T: Element> Product<'_, T> {
    /// Computes into `c`, whose rows are `c_row` apart, and asks, step by step, for what is `ahead`.
    ///
    /// # Panics
    /// An operand is too short for what is asked.
    #[inline(always)]
    pub(crate) fn run<S: Simd<T = T>>(
        &self,
        simd: S,
        start: Start<'_, T>,
        (c, c_row): (&mut [T], usize),
        ahead: &mut Ahead<'_, '_, T>,
    ) {
        self.check::<S>(c, c_row);
        let target = Target { start, c, c_row, ahead };
        match (self.step, self.vectors) {
            (1, 1) => in_tiles::<S, 1, false>(simd, self, target),
            (1, 2) => in_tiles::<S, 2, false>(simd, self, target),
            (1, _) => in_tiles::<S, 3, false>(simd, self, target),
            (_, 1) => in_tiles::<S, 1, true>(simd, self, target),
            (_, 2) => in_tiles::<S, 2, true>(simd, self, target),
            (_, _) => in_tiles::<S, 3, true>(simd, self, target),
        }
    }

    /// Every access of the micro-kernel lies inside its operands.
    #[inline(always)]
    fn check<S: Simd<T = T>>(&self, c: &[T], c_row: usize) {
        assert!(self.step == 1 || self.row == 1, "rows or depth must be contiguous");
        assert!((1..=3).contains(&self.vectors) && self.columns <= self.vectors * S::LANES);
        assert!(self.rows >= 1 && self.depth >= 1 && !self.taps.is_empty(), "a product of no rows or depth");
        let reach = (self.rows - 1) * self.row + (self.depth - 1) * self.step;
        assert!(self.taps.iter().all(|&tap| tap + reach < self.a.len()), "left operand is too short");
        assert!(self.taps.len() * self.depth * self.vectors * S::LANES <= self.b.len(), "right operand is too short");
        assert!((self.rows - 1) * c_row + self.columns <= c.len(), "output is too short");
    }
}

/// Most vectors of a micro-tile of any instruction set.
const MOST_VECTORS: usize = 28;

/// A micro-tile that begins a cache line.
#[repr(align(64))]
struct Tile<T>([T; MOST_VECTORS * MOST_LANES]);

/// Where a product goes, what it starts from, and what its steps ask for.
struct Target<'a, 'b, 'c, T> {
    start: Start<'a, T>,
    c: &'a mut [T],
    c_row: usize,
    ahead: &'a mut Ahead<'b, 'c, T>,
}

/// Cuts the rows of a product whose operands were checked into micro-tiles, whose heights differ by one row at most.
#[inline(always)]
fn in_tiles<S: Simd, const V: usize, const BY_CHANNEL: bool>(
    simd: S,
    product: &Product<'_, S::T>,
    mut target: Target<'_, '_, '_, S::T>,
) {
    let tiles = product.rows.div_ceil(S::ROWS[V - 1]);
    let (height, higher) = (product.rows / tiles, product.rows % tiles);
    for (height, first, tiles) in [(height + 1, 0, higher), (height, higher * (height + 1), tiles - higher)] {
        macro_rules! of_height {
            ($($m:literal)*) => {
                match height {
                    _ if tiles == 0 => {}
                    $($m if $m <= S::ROWS[V - 1] => {
                        let target = &mut target;
                        simd.run(Tiles::<S::T, $m, V, BY_CHANNEL> { product, target, first, tiles });
                    })*
                    _ => unreachable!("no more than a micro-tile's rows"),
                }
            };
        }
        of_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}

/// So many micro-tiles of `M` rows by `V` vectors, from row `first` on; compiled once an instruction set.
struct Tiles<'a, 'b, 'c, 'd, T, const M: usize, const V: usize, const BY_CHANNEL: bool> {
    product: &'a Product<'a, T>,
    target: &'a mut Target<'b, 'c, 'd, T>,
    first: usize,
    tiles: usize,
}

impl<T: Element, const M: usize, const V: usize, const BY_CHANNEL: bool> Operation<T>
    for Tiles<'_, '_, '_, '_, T, M, V, BY_CHANNEL>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self { product, target, first, tiles } = self;
        let distances = if BY_CHANNEL { (1, product.step) } else { (product.row, 1) };
        for first in (first..).step_by(M).take(tiles) {
            let a = product.a[first * distances.0..].as_ptr();
            let ahead = target.ahead.take(product.taps.len() * product.depth);
            if product.asks {
                target.ask::<S, M, V>(simd, first);
            }
            match product.columns < V * S::LANES {
                true => target.by_way_of_whole_vectors::<S, M, V>(simd, (product, distances), first, (a, ahead)),
                false => target.whole_vectors::<S, M, V>(simd, (product, distances), first, (a, ahead)),
            }
        }
    }
}

impl<T: Element> Target<'_, '_, '_, T> {
    /// Asks for the output's memory from row `first` on.
    #[inline(always)]
    fn ask<S: Simd<T = T>, const M: usize, const V: usize>(&self, simd: S, first: usize) {
        for i in first..first + M {
            for line in (0..V * S::LANES).step_by(LINE / size_of::<T>()) {
                simd.prefetch(self.c.as_ptr().wrapping_add(i * self.c_row + line));
            }
        }
    }

    /// Computes `M` rows from row `first` on.
    #[inline(always)]
    fn whole_vectors<S: Simd<T = T>, const M: usize, const V: usize>(
        &mut self,
        simd: S,
        (product, distances): (&Product<'_, T>, (usize, usize)),
        first: usize,
        (a, ahead): (*const T, Asked<T>),
    ) {
        let c = (self.c[first * self.c_row..].as_mut_ptr(), self.c_row);
        let start = match self.start {
            Start::Zero => (std::ptr::null(), 0),
            Start::Columns(values) => (values[..V * S::LANES].as_ptr(), 0),
            Start::Output => (c.0.cast_const(), c.1),
        };
        // SAFETY: `check` saw that every tap plus the reach of all rows and steps lies inside `a`, that `b` has
        // `taps * depth` rows of `V` vectors, and that all columns of all rows lie inside `c`.
        unsafe { simd.multiply::<M, V>(product, distances, Origin { a, start, c, ahead }) };
    }

    /// The same for columns of which a vector is not wanted in whole, by way of a tile of whole vectors.
    #[inline(always)]
    fn by_way_of_whole_vectors<S: Simd<T = T>, const M: usize, const V: usize>(
        &mut self,
        simd: S,
        (product, distances): (&Product<'_, T>, (usize, usize)),
        first: usize,
        (a, ahead): (*const T, Asked<T>),
    ) {
        let (mut tile, width) = (Tile([T::zero(); MOST_VECTORS * MOST_LANES]), V * S::LANES);
        let Tile(tile) = &mut tile;
        assert!(M * width <= tile.len(), "more than a micro-tile");
        let whole = Product { floor: T::neg_infinity(), ..*product };
        let origin = Origin { a, start: (std::ptr::null(), 0), c: (tile.as_mut_ptr(), width), ahead };
        // SAFETY: `check` saw that all reads lie inside `a` and `b`, and the tile has `M` rows of `width` elements.
        unsafe { simd.multiply::<M, V>(&whole, distances, origin) };
        let floor = simd.splat(product.floor);
        for i in 0..M {
            for start in (0..product.columns).step_by(S::LANES) {
                let lanes = start..(start + S::LANES).min(product.columns);
                let sum = simd.load(&tile[i * width + start..][..S::LANES]);
                let to = &mut self.c[(first + i) * self.c_row..][lanes.clone()];
                let sum = match self.start {
                    Start::Zero => sum,
                    Start::Columns(values) => simd.add(sum, simd.load(&values[lanes])),
                    Start::Output => simd.add(sum, simd.load(to)),
                };
                simd.store(simd.max(floor, sum), to);
            }
        }
    }
}

/// [`Simd::multiply`] in plain code.
///
/// # Safety
/// That of [`Simd::multiply`].
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, const M: usize, const V: usize>(
    simd: S,
    product: &Product<'_, S::T>,
    (row, step): (usize, usize),
    Origin { a, start: (start, start_row), c: (c, c_row), ahead: Asked { from, bytes } }: Origin<S::T>,
) {
    let mut acc = [[simd.splat(S::T::of(0.0)); V]; M];
    let (mut b, mut ahead) = (product.b.as_ptr(), from);
    for &tap in product.taps {
        for k in 0..product.depth {
            simd.prefetch(ahead);
            ahead = ahead.wrapping_byte_add(bytes);
            // SAFETY: the caller vouches that all of it lies inside the operands.
            unsafe {
                let a = a.add(tap + k * step);
                let mut columns = [simd.splat(S::T::of(0.0)); V];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = simd.load_unchecked(b.add(v * S::LANES));
                }
                for (i, sums) in acc.iter_mut().enumerate() {
                    let value = simd.splat(*a.add(i * row));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = simd.mul_add(value, column, *sum);
                    }
                }
                b = b.add(V * S::LANES);
            }
        }
    }
    let floor = simd.splat(product.floor);
    for (i, sums) in acc.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for `M` rows of `V` vectors.
            unsafe {
                let sum = match start.is_null() {
                    true => sum,
                    false => simd.add(sum, simd.load_unchecked(start.add(i * start_row + v * S::LANES))),
                };
                simd.store_unchecked(simd.max(floor, sum), c.add(i * c_row + v * S::LANES));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Dispatch;

    /// Every number of rows and vectors, both orders, tails, starts and floors, against a plain sum.
    struct AgainstPlainSums;

    const SENTINEL: f64 = 1e9;

    impl<T: Element> Operation<T> for AgainstPlainSums {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T = T>>(self, simd: S) {
            for vectors in 1..=3 {
                for rows in 1..=2 * S::ROWS[vectors - 1] + 1 {
                    for columns in [1, S::LANES * vectors - 1, S::LANES * vectors] {
                        for (row, step) in [(11, 1), (1, 17)] {
                            check(simd, Case { rows, vectors, columns, row, step });
                        }
                    }
                }
            }
        }
    }

    struct Case {
        rows: usize,
        vectors: usize,
        columns: usize,
        row: usize,
        step: usize,
    }

    fn values<T: Element>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.5)).collect()
    }

    fn check<S: Simd>(simd: S, case: Case) {
        let Case { rows, vectors, columns, row, step } = case;
        let (taps, depth, c_row) = ([3, 0, 40], 5, columns + 2);
        let panel = vectors * S::LANES;
        let reach = 40 + (rows - 1) * row + (depth - 1) * step;
        let a = values::<S::T>(reach + 1, 1);
        let b = values::<S::T>(taps.len() * depth * panel, 2);
        let bias = values::<S::T>(columns, 3);
        let before = values::<S::T>((rows - 1) * c_row + columns, 4);
        for (kind, floor) in [(0, f64::NEG_INFINITY), (1, 0.0), (2, f64::NEG_INFINITY)] {
            let mut c = before.clone();
            c.push(S::T::of(SENTINEL));
            let start = match kind {
                0 => Start::Zero,
                1 => Start::Columns(&bias),
                _ => Start::Output,
            };
            let (floor, mut runs) = (S::T::of(floor), [&b[..]].into_iter());
            let product =
                Product { a: &a, row, step, taps: &taps, depth, b: &b, rows, vectors, columns, floor, asks: kind == 1 };
            product.run(simd, start, (&mut c, c_row), &mut Ahead::new(&mut runs));
            for (i, &got) in c.iter().enumerate() {
                let (y, x) = (i / c_row, i % c_row);
                if x >= columns || i == before.len() {
                    let kept = before.get(i).map_or(SENTINEL, |v| v.f64());
                    assert_eq!(got.f64(), kept, "element {i} lies outside the product");
                    continue;
                }
                let mut sum = [0.0, bias[x].f64(), before[i].f64()][kind];
                for (t, tap) in taps.iter().enumerate() {
                    for k in 0..depth {
                        sum += a[tap + y * row + k * step].f64() * b[(t * depth + k) * panel + x].f64();
                    }
                }
                assert!((got.f64() - sum.max(floor.f64())).abs() < 1e-5, "row {y} column {x}: {got} for {sum}");
            }
        }
    }

    #[test]
    fn products_are_plain_sums() {
        f32::dispatch(AgainstPlainSums);
        f64::dispatch(AgainstPlainSums);
    }
}

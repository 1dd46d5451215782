//! The micro-kernel: a product of a few rows by a few vectors, held in registers over its whole depth.
#![allow(unsafe_code)]

use super::{Operation, Simd};
use crate::Element;

/// What the accumulators hold before the first multiply-add.
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
/// for `i` below `rows` and `j` below `columns`, where `panel` is the width of `b` and of the micro-tile in elements.
/// Either `row` or `step` is 1: rows are pixels and depth is channels (forward, data gradient), or rows are channels
/// and depth is pixels (weight gradient).
pub(crate) struct Product<'a, T> {
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
    /// Rows wanted, at most `ROWS[vectors - 1]`.
    pub rows: usize,
    /// Width in vectors, 1 to 3.
    pub vectors: usize,
    /// Columns wanted, at most `vectors * LANES`.
    pub columns: usize,
    /// Lower bound of the result: zero rectifies, minus infinity does nothing.
    pub floor: T,
}

impl<T: Element> Product<'_, T> {
    /// Computes into `c`, whose rows are `c_row` apart.
    ///
    /// # Panics
    /// An operand is too short for what is asked.
    #[inline(always)]
    pub(crate) fn run<S: Simd<T = T>>(&self, simd: S, start: Start<'_, T>, c: &mut [T], c_row: usize) {
        self.check::<S>(c, c_row);
        let target = Target { start, c, c_row };
        match (self.step, self.vectors) {
            (1, 1) => by_rows::<S, 1, false>(simd, self, target),
            (1, 2) => by_rows::<S, 2, false>(simd, self, target),
            (1, _) => by_rows::<S, 3, false>(simd, self, target),
            (_, 1) => by_rows::<S, 1, true>(simd, self, target),
            (_, 2) => by_rows::<S, 2, true>(simd, self, target),
            (_, _) => by_rows::<S, 3, true>(simd, self, target),
        }
    }

    /// Every access of the micro-kernel lies inside its operands.
    #[inline(always)]
    fn check<S: Simd<T = T>>(&self, c: &[T], c_row: usize) {
        assert!(self.step == 1 || self.row == 1, "rows or depth must be contiguous");
        assert!((1..=3).contains(&self.vectors) && self.columns <= self.vectors * S::LANES);
        assert!(self.rows >= 1 && self.rows <= S::ROWS[self.vectors - 1] && self.depth >= 1);
        let reach = (self.rows - 1) * self.row + (self.depth - 1) * self.step;
        assert!(self.taps.iter().all(|&tap| tap + reach < self.a.len()), "left operand is too short");
        assert!(self.taps.len() * self.depth * self.vectors * S::LANES <= self.b.len(), "right operand is too short");
        assert!((self.rows - 1) * c_row + self.columns <= c.len(), "output is too short");
    }
}

/// Where a product goes, and what it starts from.
struct Target<'a, T> {
    start: Start<'a, T>,
    c: &'a mut [T],
    c_row: usize,
}

/// Picks the micro-kernel of the right number of rows.
#[inline(always)]
fn by_rows<S: Simd, const V: usize, const BY_CHANNEL: bool>(simd: S, p: &Product<'_, S::T>, to: Target<'_, S::T>) {
    macro_rules! rows {
        ($($m:literal)*) => {
            match p.rows {
                $($m if $m <= S::ROWS[V - 1] => simd.run(Micro::<S::T, $m, V, BY_CHANNEL>(p, to)),)*
                _ => unreachable!("checked before"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// `M` rows by `V` vectors of a product whose operands were checked; compiled once an instruction set.
struct Micro<'a, T, const M: usize, const V: usize, const BY_CHANNEL: bool>(&'a Product<'a, T>, Target<'a, T>);

impl<T: Element, const M: usize, const V: usize, const BY_CHANNEL: bool> Operation<T>
    for Micro<'_, T, M, V, BY_CHANNEL>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, simd: S) {
        let Self(p, to) = self;
        let mut acc = to.initial::<S, M, V>(simd, p.columns);
        let mut b = p.b.as_ptr();
        let (row, step) = if BY_CHANNEL { (1, p.step) } else { (p.row, 1) };
        for &tap in p.taps {
            // SAFETY: `check` saw that `tap` plus the reach of all rows and steps lies inside `a`, and that `b` has
            // `taps * depth` rows of `V` vectors. Only pointers inside `a` are read.
            unsafe {
                // Three base pointers five rows apart keep every address within one addition.
                let a = p.a.as_ptr().add(tap);
                let mut bases = [a, a.wrapping_add(5 * row), a.wrapping_add(10 * row)];
                for _ in 0..p.depth {
                    let columns: [S::V; V] = std::array::from_fn(|v| simd.load_unchecked(b.add(v * S::LANES)));
                    // Written out, since the compiler does not unroll the larger loops by itself.
                    macro_rules! rows {
                        ($($i:literal)*) => {$(
                            if $i < M {
                                let value = simd.splat(*bases[$i / 5].add(($i % 5) * row));
                                for v in 0..V {
                                    acc[$i][v] = simd.mul_add(value, columns[v], acc[$i][v]);
                                }
                            }
                        )*};
                    }
                    rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
                    b = b.add(V * S::LANES);
                    bases = bases.map(|base| base.wrapping_add(step));
                }
            }
        }
        to.finish(simd, &acc, p.columns, p.floor);
    }
}

impl<T: Element> Target<'_, T> {
    /// The accumulators before the first step.
    #[inline(always)]
    fn initial<S: Simd<T = T>, const M: usize, const V: usize>(&self, simd: S, columns: usize) -> [[S::V; V]; M] {
        let part = |from: &[T], v: usize| simd.load(&from[lanes::<S>(v, columns)]);
        match self.start {
            Start::Zero => [[simd.splat(T::zero()); V]; M],
            Start::Columns(values) => [std::array::from_fn(|v| part(values, v)); M],
            Start::Output => std::array::from_fn(|i| std::array::from_fn(|v| part(&self.c[i * self.c_row..], v))),
        }
    }

    /// The accumulators bounded from below, in their places.
    #[inline(always)]
    fn finish<S: Simd<T = T>, const M: usize, const V: usize>(
        self,
        simd: S,
        acc: &[[S::V; V]; M],
        columns: usize,
        floor: T,
    ) {
        let floor = simd.splat(floor);
        for (i, row) in acc.iter().enumerate() {
            for (v, &value) in row.iter().enumerate() {
                simd.store(simd.max(floor, value), &mut self.c[i * self.c_row..][lanes::<S>(v, columns)]);
            }
        }
    }
}

/// The columns that vector `v` covers.
#[inline(always)]
fn lanes<S: Simd>(v: usize, columns: usize) -> std::ops::Range<usize> {
    (v * S::LANES).min(columns)..((v + 1) * S::LANES).min(columns)
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
                for rows in 1..=S::ROWS[vectors - 1] {
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
            let product =
                Product { a: &a, row, step, taps: &taps, depth, b: &b, rows, vectors, columns, floor: S::T::of(floor) };
            product.run(simd, start, &mut c, c_row);
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
                assert!((got.f64() - sum.max(floor)).abs() < 1e-5, "row {y} column {x}: {got} for {sum}");
            }
        }
    }

    #[test]
    fn products_are_plain_sums() {
        f32::dispatch(AgainstPlainSums);
        f64::dispatch(AgainstPlainSums);
    }
}

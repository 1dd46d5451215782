//! Weights in the order in which the micro-kernel reads them.

use std::ops::Range;

use rayon::prelude::*;

use crate::memory::Aligned;
use crate::scalar::Precision;
use crate::simd::strided::MatrixMut;

/// A matrix `[K][N]` cut into panels of one to three vectors of columns, each packed `[K / K_GROUP][column][K_GROUP]`.
#[derive(Debug)]
pub struct PackedWeights<P: Precision> {
    /// Rows of the matrix.
    k: usize,
    data: Aligned<P::Weight>,
    panels: Vec<Panel>,
}

/// The most vectors of a panel.
pub(crate) const MAX_VECTORS: usize = 3;

/// Neighbouring columns that one micro-tile computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Its first column.
    pub first: usize,
    /// Its columns.
    pub n: usize,
    /// Vectors that hold them.
    pub vectors: usize,
    /// Its width in elements: the lanes of its vectors.
    pub width: usize,
}

/// Cuts `n` columns into panels of two vectors; the last may have one or three.
pub(crate) fn panels(n: usize, lanes: usize) -> impl Iterator<Item = Panel> + Clone {
    let mut first = 0;
    std::iter::from_fn(move || {
        let left = (n - first).div_ceil(lanes);
        let vectors = if left == 3 { 3 } else { left.min(2) };
        let width = vectors * lanes;
        let panel = Panel { first, n: width.min(n - first), vectors, width };
        first += panel.n;
        (vectors > 0).then_some(panel)
    })
}

impl<P: Precision> PackedWeights<P> {
    /// Packs the matrix with `k` rows and `n` columns whose element in row `k` and column `j` is `element(k, j)`, for
    /// vectors of `lanes` lanes.
    pub(crate) fn new(k: usize, n: usize, lanes: usize, element: impl Fn(usize, usize) -> P::Weight + Sync) -> Self {
        Self::filled(k, n, lanes, |panel, packed| {
            for (group, packed) in packed.chunks_exact_mut(panel.width * P::K_GROUP).enumerate() {
                for (j, packed) in packed.chunks_exact_mut(P::K_GROUP).take(panel.n).enumerate() {
                    for (k_here, packed) in (group * P::K_GROUP..k).zip(packed) {
                        *packed = element(k_here, panel.first + j);
                    }
                }
            }
        })
    }

    /// Weights whose panels are packed by `fill`, one by one; initially they are zeros.
    pub(crate) fn filled(k: usize, n: usize, lanes: usize, fill: impl Fn(Panel, &mut [P::Weight]) + Sync) -> Self {
        let panels: Vec<Panel> = panels(n, lanes).collect();
        let padded_k = k.next_multiple_of(P::K_GROUP);
        let mut data = Aligned::zeros(padded_k * panels.iter().map(|panel| panel.width).sum::<usize>());
        let mut rest = &mut *data;
        let parts: Vec<(Panel, &mut [P::Weight])> = panels
            .iter()
            .map(|&panel| (panel, rest.split_off_mut(..padded_k * panel.width).expect("as long as all panels")))
            .collect();
        parts.into_par_iter().for_each(|(panel, part)| fill(panel, part));
        Self { k, data, panels }
    }

    /// Rows of the matrix, K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the matrix, N.
    pub fn n(&self) -> usize {
        self.panels.last().map_or(0, |panel| panel.first + panel.n)
    }

    /// Panels.
    pub(crate) fn num_panels(&self) -> usize {
        self.panels.len()
    }

    /// Each panel with its packed elements.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Panel, &[P::Weight])> {
        self.panels(0..self.panels.len())
    }

    /// The panels with these numbers, and their packed elements.
    pub(crate) fn panels(&self, numbers: Range<usize>) -> impl Iterator<Item = (Panel, &[P::Weight])> {
        let padded_k = self.k.next_multiple_of(P::K_GROUP);
        let before: usize = self.panels[..numbers.start].iter().map(|panel| panel.width).sum();
        let mut rest = &self.data[padded_k * before..];
        self.panels[numbers].iter().map(move |&panel| {
            let part = rest.split_off(..padded_k * panel.width).expect("as long as all panels");
            (panel, part)
        })
    }
}

/// A cut of the columns of an output into blocks of whole panels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnBlocks<'a, P: Precision> {
    weights: &'a PackedWeights<P>,
    count: usize,
}

impl<'a, P: Precision> ColumnBlocks<'a, P> {
    /// Cuts the columns of `weights` into `count` blocks.
    pub fn new(weights: &'a PackedWeights<P>, count: usize) -> Self {
        Self { weights, count }
    }

    /// Blocks.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Panels of `blocks`, and their columns.
    fn bounds(&self, blocks: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let panel = |block: usize| block * self.weights.panels.len() / self.count;
        let column = |panel: usize| self.weights.panels.get(panel).map_or(self.weights.n(), |panel| panel.first);
        let panels = panel(blocks.start)..panel(blocks.end);
        (panels.clone(), column(panels.start)..column(panels.end))
    }

    /// Runs `work` on the panels and columns of each block, with their columns of `output`.
    pub fn run<T: Send>(
        &self,
        output: MatrixMut<'_, T>,
        work: &(impl Fn(Range<usize>, Range<usize>, MatrixMut<'_, T>) + Sync),
    ) {
        self.halve(0..self.count, output, work);
    }

    fn halve<T: Send>(
        &self,
        blocks: Range<usize>,
        output: MatrixMut<'_, T>,
        work: &(impl Fn(Range<usize>, Range<usize>, MatrixMut<'_, T>) + Sync),
    ) {
        if blocks.len() == 1 {
            let (panels, columns) = self.bounds(&blocks);
            return work(panels, columns, output);
        }
        let middle = blocks.start + blocks.len() / 2;
        let (_, columns) = self.bounds(&(blocks.start..middle));
        let (output, next_output) = output.split_columns(columns.len());
        rayon::join(
            || self.halve(blocks.start..middle, output, work),
            || self.halve(middle..blocks.end, next_output, work),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are multiplied in groups of four.
    #[derive(Clone, Copy)]
    struct Bytes;

    impl Precision for Bytes {
        type Input = u8;
        type Weight = i8;
        type Accumulator = i32;
        const K_GROUP: usize = 4;
    }

    #[test]
    fn neighbours_along_k_lie_side_by_side_in_groups() {
        let (k, n, lanes) = (6, 11, 4);
        let element = |k: usize, j: usize| (10 * k + j) as i8;
        let weights = PackedWeights::<Bytes>::new(k, n, lanes, element);
        assert_eq!((weights.k(), weights.n()), (k, n));
        let sizes: Vec<_> = weights.iter().map(|(panel, packed)| (panel.first, panel.n, packed.len())).collect();
        assert_eq!(sizes, [(0, 11, 8 * 12)]);
        for (panel, packed) in weights.iter() {
            for (i, &packed) in packed.iter().enumerate() {
                let (group, j, k_here) = (i / 4 / panel.width, i / 4 % panel.width, i % 4);
                let k_here = 4 * group + k_here;
                let inside = k_here < k && j < panel.n;
                assert_eq!(packed, if inside { element(k_here, panel.first + j) } else { 0 }, "element {i}");
            }
        }
    }

    #[test]
    fn columns_are_cut_into_panels_of_two_vectors_but_the_last() {
        let cut = |n| panels(n, 16).map(|panel| (panel.first, panel.n, panel.vectors)).collect::<Vec<_>>();
        assert_eq!(cut(10), [(0, 10, 1)]);
        assert_eq!(cut(48), [(0, 48, 3)]);
        assert_eq!(cut(65), [(0, 32, 2), (32, 33, 3)]);
        assert_eq!(cut(128).len(), 4);
    }
}

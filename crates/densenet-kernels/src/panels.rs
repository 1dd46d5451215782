//! Weights in the order that the micro-kernel reads them.

use rayon::prelude::*;

use crate::Aligned;
use crate::isa::Dispatch;

/// A matrix `[depth][columns]` cut into panels of one to three vectors of columns, each stored depth-major.
#[derive(Debug)]
pub struct Panels<T> {
    depth: usize,
    data: Aligned<T>,
    panels: Vec<Panel>,
}

/// Most vectors of a panel.
pub(crate) const MOST_VECTORS: usize = 3;

/// A run of columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    /// Its first column.
    pub first: usize,
    /// Its columns.
    pub columns: usize,
    /// Vectors that hold them.
    pub vectors: usize,
    /// Width in elements: its vectors' lanes.
    pub width: usize,
    start: usize,
}

/// Cuts `columns` into panels of two vectors, the last perhaps of one or three.
pub(crate) fn cut(columns: usize, lanes: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let left = (columns - first).div_ceil(lanes);
        let vectors = if left == 3 { 3 } else { left.min(2) };
        let here = (first, (vectors * lanes).min(columns - first), vectors);
        first += here.1;
        (vectors > 0).then_some(here)
    })
}

impl<T: Dispatch> Panels<T> {
    /// Panels of the matrix whose element in row `k` and column `j` is `element(k, j)`.
    pub fn new(depth: usize, columns: usize, element: impl Fn(usize, usize) -> T + Sync) -> Self {
        Self::filled(depth, columns, |panel, part| {
            for (k, row) in part.chunks_exact_mut(panel.width).enumerate() {
                for (j, value) in row[..panel.columns].iter_mut().enumerate() {
                    *value = element(k, panel.first + j);
                }
            }
        })
    }

    /// Panels that `fill` fills, one by one; they hold zeros before.
    pub(crate) fn filled(depth: usize, columns: usize, fill: impl Fn(Panel, &mut [T]) + Sync) -> Self {
        let lanes = T::lanes();
        let mut start = 0;
        let panels: Vec<Panel> = cut(columns, lanes)
            .map(|(first, columns, vectors)| {
                let panel = Panel { first, columns, vectors, width: vectors * lanes, start };
                start += depth * panel.width;
                panel
            })
            .collect();
        let mut data = Aligned::zeros(start);
        let mut rest = &mut *data;
        let parts: Vec<(Panel, &mut [T])> = panels
            .iter()
            .map(|&panel| {
                let (part, behind) = std::mem::take(&mut rest).split_at_mut(depth * panel.width);
                rest = behind;
                (panel, part)
            })
            .collect();
        parts.into_par_iter().for_each(|(panel, part)| fill(panel, part));
        Self { depth, data, panels }
    }

    /// Rows of the matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.panels.last().map_or(0, |panel| panel.first + panel.columns)
    }

    /// Each panel with its elements, `[depth][panel.width]`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Panel, &[T])> {
        self.panels.iter().map(|&panel| (panel, &self.data[panel.start..][..self.depth * panel.width]))
    }
}

//! Pooling: the stem's overlapping maximum, the transitions' 2x2 average and the head's global average.

use super::Shape4;
use crate::scalar::Scalar;

/// A maximum over square windows, with PyTorch's padding: the padding is never the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Height and width of the window.
    pub kernel: usize,
    /// Step between windows; at least 1.
    pub stride: usize,
    /// Pixels by which windows reach over the edge; at most half the window, so that none is empty.
    pub padding: usize,
}

impl MaxPool {
    /// Output extents for input extents; the padded input holds at least one window.
    pub fn output(&self, input: Shape4) -> Shape4 {
        let extent = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        Shape4 { h: extent(input.h), w: extent(input.w), ..input }
    }

    /// `x` `(N, C, H, W)`; returns `y` `(N, C, H', W')` and, for each output, the place in `x` that it came from: the
    /// first maximum of its window in row-major order.
    pub fn forward<T: Scalar>(&self, shape: Shape4, x: &[T]) -> (Vec<T>, Vec<usize>) {
        let output = self.output(shape);
        let mut places = Vec::with_capacity(output.len());
        for (start, _) in shape.planes() {
            for i in 0..output.h {
                places.extend((0..output.w).map(|j| start + self.maximum(shape, &x[start..], i, j)));
            }
        }
        (places.iter().map(|&place| x[place]).collect(), places)
    }

    /// `dx` `(N, C, H, W)` for the places that [`Self::forward`] gave and `dy` `(N, C, H', W')`.
    pub fn backward<T: Scalar>(&self, shape: Shape4, places: &[usize], dy: &[T]) -> Vec<T> {
        let mut dx = vec![T::zero(); shape.len()];
        for (&place, &dy) in places.iter().zip(dy) {
            dx[place] += dy;
        }
        dx
    }

    /// Place of the first maximum in window `(i, j)` of a map. A value that is not a number counts as largest.
    fn maximum<T: Scalar>(&self, shape: Shape4, map: &[T], i: usize, j: usize) -> usize {
        let window = |output: usize, extent: usize| {
            let start = output * self.stride;
            start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(extent)
        };
        let (rows, columns) = (window(i, shape.h), window(j, shape.w));
        let mut best = rows.start * shape.w + columns.start;
        for y in rows {
            for place in y * shape.w + columns.start..y * shape.w + columns.end {
                if map[place] > map[best] || map[place].is_nan() {
                    best = place;
                }
            }
        }
        best
    }
}

/// Extents after [`average`]: halves, an odd row or column at the end is left out.
pub fn average_output(input: Shape4) -> Shape4 {
    Shape4 { h: input.h / 2, w: input.w / 2, ..input }
}

/// Mean of 2x2 windows of stride 2: `x` `(N, C, H, W)` to `y` `(N, C, H/2, W/2)`, rounded down.
pub fn average<T: Scalar>(shape: Shape4, x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); average_output(shape).len()];
    for_each_averaged(shape, |i, k| y[k] += T::of(0.25) * x[i]);
    y
}

/// `dx` `(N, C, H, W)` of [`average`] for `dy` `(N, C, H/2, W/2)`.
pub fn average_backward<T: Scalar>(shape: Shape4, dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); shape.len()];
    for_each_averaged(shape, |i, k| dx[i] += T::of(0.25) * dy[k]);
    dx
}

/// Calls `f(i, k)` for every `x[i]` that is part of the mean `y[k]`.
fn for_each_averaged(shape: Shape4, mut f: impl FnMut(usize, usize)) {
    let output = average_output(shape);
    for n in 0..shape.n {
        for c in 0..shape.c {
            for y in 0..2 * output.h {
                for x in 0..2 * output.w {
                    f(shape.index(n, c, y, x), output.index(n, c, y / 2, x / 2));
                }
            }
        }
    }
}

/// Mean of each map: `x` `(N, C, H, W)` to `y` `(N, C)`.
pub fn global_average<T: Scalar>(shape: Shape4, x: &[T]) -> Vec<T> {
    let count = T::of(shape.plane() as f64);
    x.chunks_exact(shape.plane()).map(|map| map.iter().copied().sum::<T>() / count).collect()
}

/// `dx` `(N, C, H, W)` of [`global_average`] for `dy` `(N, C)`.
pub fn global_average_backward<T: Scalar>(shape: Shape4, dy: &[T]) -> Vec<T> {
    let count = T::of(shape.plane() as f64);
    dy.iter().flat_map(|&dy| std::iter::repeat_n(dy / count, shape.plane())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::{SEEDS, assert_gradient, dot, extent, random};
    use super::*;

    fn shape(seed: u64) -> Shape4 {
        let of = |stream, low, high| extent(seed, stream, low, high);
        Shape4::new(of(0, 1, 3), of(1, 1, 3), of(2, 3, 8), of(3, 3, 8))
    }

    /// Padding is below every number, and of equal values the first one wins.
    #[test]
    fn maximum_by_hand() {
        let pool = MaxPool { kernel: 3, stride: 2, padding: 1 };
        let x = [-1.0, -2.0, -1.0, -3.0, -1.0, -4.0, -5.0, -6.0, -7.0];
        let (y, places) = pool.forward(Shape4::new(1, 1, 3, 3), &x);
        assert_eq!(y, [-1.0, -1.0, -1.0, -1.0]);
        assert_eq!(places, [0, 2, 4, 4]);
        let dx = pool.backward(Shape4::new(1, 1, 3, 3), &places, &[1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(dx, [1.0, 0.0, 10.0, 0.0, 1100.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn average_drops_the_odd_edge() {
        let x = [1.0, 2.0, 100.0, 3.0, 6.0, 100.0, 100.0, 100.0, 100.0];
        assert_eq!(average(Shape4::new(1, 1, 3, 3), &x), [3.0]);
    }

    #[test]
    fn maximum_gradients() {
        for seed in SEEDS {
            for (kernel, stride, padding) in [(3, 2, 1), (2, 2, 0), (3, 1, 1), (2, 3, 1)] {
                let (shape, pool) = (shape(seed), MaxPool { kernel, stride, padding });
                let x = random(seed, 4, shape.len());
                let dy = random(seed, 5, pool.output(shape).len());
                let dx = pool.backward(shape, &pool.forward(shape, &x).1, &dy);
                assert_gradient("dx", seed, &x, &dx, |x| dot(&pool.forward(shape, x).0, &dy));
            }
        }
    }

    #[test]
    fn average_gradients() {
        for seed in SEEDS {
            let shape = shape(seed);
            let x = random(seed, 4, shape.len());
            let dy = random(seed, 5, average_output(shape).len());
            assert_gradient("dx", seed, &x, &average_backward(shape, &dy), |x| dot(&average(shape, x), &dy));
        }
    }

    #[test]
    fn global_average_gradients() {
        for seed in SEEDS {
            let shape = shape(seed);
            let (x, dy) = (random(seed, 4, shape.len()), random(seed, 5, shape.n * shape.c));
            let dx = global_average_backward(shape, &dy);
            assert_gradient("dx", seed, &x, &dx, |x| dot(&global_average(shape, x), &dy));
        }
    }
}

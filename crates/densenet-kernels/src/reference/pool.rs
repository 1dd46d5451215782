//! Pooling: over windows in the stem and the transitions, over whole maps in the head.

use super::Shape4;
use crate::scalar::Scalar;

/// Pooling over square windows, with PyTorch's rules: extents are rounded down; padding is never the maximum, and
/// counts as zeros in an average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Height and width of the window.
    pub kernel: usize,
    /// Stride between windows; at least 1.
    pub stride: usize,
    /// Pixels by which windows extend beyond the edge; at most half the window, so that none is empty.
    pub padding: usize,
}

impl Pool {
    /// 2x2 pixels with stride 2, as in a transition: an odd row or column at the end is left out.
    pub const HALVE: Self = Self { kernel: 2, stride: 2, padding: 0 };

    /// Output extents for input extents; the padded input must hold at least one window.
    pub fn output(self, input: Shape4) -> Shape4 {
        let extent = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        Shape4 { h: extent(input.h), w: extent(input.w), ..input }
    }

    /// Maxima: `x` `(N, C, H, W)` to `y` `(N, C, H', W')` and, for each output, its place in `x`: the first maximum of
    /// its window in row-major order.
    pub fn max<T: Scalar>(self, shape: Shape4, x: &[T]) -> (Vec<T>, Vec<usize>) {
        largest_of(x, self.windows(shape))
    }

    /// Means: `x` `(N, C, H, W)` to `y` `(N, C, H', W')`.
    pub fn average<T: Scalar>(self, shape: Shape4, x: &[T]) -> Vec<T> {
        self.windows(shape).map(|window| window.map(|place| x[place]).sum::<T>() * self.share()).collect()
    }

    /// `dx` `(N, C, H, W)` of [`Self::average`], given `dy` `(N, C, H', W')`.
    pub fn average_backward<T: Scalar>(self, shape: Shape4, dy: &[T]) -> Vec<T> {
        let mut dx = vec![T::zero(); shape.len()];
        for (window, &dy) in self.windows(shape).zip(dy) {
            window.for_each(|place| dx[place] += dy * self.share());
        }
        dx
    }

    /// Each pixel's share of a mean.
    fn share<T: Scalar>(self) -> T {
        T::of(1.0 / (self.kernel * self.kernel) as f64)
    }

    /// Places of the pixels of each window, in the order of the outputs, and row by row within a window.
    fn windows(self, shape: Shape4) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        let output = self.output(shape);
        let within = move |output: usize, extent: usize| {
            let start = output * self.stride;
            start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(extent)
        };
        (0..output.len()).map(move |k| {
            let (map, pixel) = (k / output.plane(), k % output.plane());
            let (rows, columns) = (within(pixel / output.w, shape.h), within(pixel % output.w, shape.w));
            rows.flat_map(move |y| columns.clone().map(move |x| map * shape.plane() + y * shape.w + x))
        })
    }
}

/// `dx` `(N, C, H, W)` of maxima at these `places`, given their gradients `dy`.
pub fn max_backward<T: Scalar>(shape: Shape4, places: &[usize], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); shape.len()];
    for (&place, &dy) in places.iter().zip(dy) {
        dx[place] += dy;
    }
    dx
}

/// Mean of each map: `x` `(N, C, H, W)` to `y` `(N, C)`.
pub fn global_average<T: Scalar>(shape: Shape4, x: &[T]) -> Vec<T> {
    let count = T::of(shape.plane() as f64);
    x.chunks_exact(shape.plane()).map(|map| map.iter().copied().sum::<T>() / count).collect()
}

/// `dx` `(N, C, H, W)` of [`global_average`], given `dy` `(N, C)`.
pub fn global_average_backward<T: Scalar>(shape: Shape4, dy: &[T]) -> Vec<T> {
    let count = T::of(shape.plane() as f64);
    dy.iter().flat_map(|&dy| std::iter::repeat_n(dy / count, shape.plane())).collect()
}

/// Maximum of each map: `x` `(N, C, H, W)` to `y` `(N, C)` and their places in `x`, each the first in its map.
pub fn global_max<T: Scalar>(shape: Shape4, x: &[T]) -> (Vec<T>, Vec<usize>) {
    largest_of(x, shape.planes().map(|(start, _)| start..start + shape.plane()))
}

/// The first largest of `x` among each of these places, and its place. NaN counts as largest.
fn largest_of<T: Scalar>(x: &[T], places: impl Iterator<Item = impl Iterator<Item = usize>>) -> (Vec<T>, Vec<usize>) {
    let larger = |best: usize, place: usize| if x[place] > x[best] || x[place].is_nan() { place } else { best };
    let places: Vec<usize> = places.map(|among| among.reduce(larger).expect("a pixel at least")).collect();
    (places.iter().map(|&place| x[place]).collect(), places)
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
        let pool = Pool { kernel: 3, stride: 2, padding: 1 };
        let x = [-1.0, -2.0, -1.0, -3.0, -1.0, -4.0, -5.0, -6.0, -7.0];
        let (y, places) = pool.max(Shape4::new(1, 1, 3, 3), &x);
        assert_eq!(y, [-1.0, -1.0, -1.0, -1.0]);
        assert_eq!(places, [0, 2, 4, 4]);
        let dx = max_backward(Shape4::new(1, 1, 3, 3), &places, &[1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(dx, [1.0, 0.0, 10.0, 0.0, 1100.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn average_drops_the_odd_edge() {
        let x = [1.0, 2.0, 100.0, 3.0, 6.0, 100.0, 100.0, 100.0, 100.0];
        assert_eq!(Pool::HALVE.average(Shape4::new(1, 1, 3, 3), &x), [3.0]);
    }

    /// PyTorch's `count_include_pad`.
    #[test]
    fn padding_counts_as_zeros_in_an_average() {
        let pool = Pool { kernel: 3, stride: 2, padding: 1 };
        let x = [9.0, 18.0, 27.0, 36.0, 45.0, 54.0, 63.0, 72.0, 81.0];
        assert_eq!(pool.average(Shape4::new(1, 1, 3, 3), &x), [12.0, 16.0, 24.0, 28.0]);
    }

    #[test]
    fn a_global_maximum_by_hand() {
        let x = [1.0, 3.0, 3.0, 2.0, -5.0, -4.0, -6.0, -4.0];
        let (y, places) = global_max(Shape4::new(1, 2, 2, 2), &x);
        assert_eq!((y, places), (vec![3.0, -4.0], vec![1, 5]));
        let broken = global_max(Shape4::new(1, 1, 2, 2), &[1.0, f64::NAN, 3.0, 2.0]);
        assert!(broken.0[0].is_nan() && broken.1 == [1]);
    }

    #[test]
    fn window_gradients() {
        for seed in SEEDS {
            for (kernel, stride, padding) in [(3, 2, 1), (2, 2, 0), (3, 1, 1), (2, 3, 1)] {
                let (shape, pool) = (shape(seed), Pool { kernel, stride, padding });
                let x = random(seed, 4, shape.len());
                let dy = random(seed, 5, pool.output(shape).len());
                let dx = max_backward(shape, &pool.max(shape, &x).1, &dy);
                assert_gradient("dx", seed, &x, &dx, |x| dot(&pool.max(shape, x).0, &dy));
                let dx = pool.average_backward(shape, &dy);
                assert_gradient("dx", seed, &x, &dx, |x| dot(&pool.average(shape, x), &dy));
            }
        }
    }

    #[test]
    fn global_gradients() {
        for seed in SEEDS {
            let shape = shape(seed);
            let (x, dy) = (random(seed, 4, shape.len()), random(seed, 5, shape.n * shape.c));
            let dx = global_average_backward(shape, &dy);
            assert_gradient("dx", seed, &x, &dx, |x| dot(&global_average(shape, x), &dy));
            let dx = max_backward(shape, &global_max(shape, &x).1, &dy);
            assert_gradient("dx", seed, &x, &dx, |x| dot(&global_max(shape, x).0, &dy));
        }
    }
}

//! Dropout of feature maps. Masks are not stored, but drawn again wherever they are needed.

use rayon::prelude::*;

use crate::random::Stream;
use crate::scalar::Scalar;
use crate::shapes::Grid;

/// Zeroes elements with probability `rate` and scales the rest by `1 / (1 - rate)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The random stream of the masks.
    pub stream: Stream,
    /// Probability of a zero, in `[0, 1)`.
    pub rate: f64,
}

/// Pixels per piece of work.
const PIECE: usize = 512;

impl Dropout {
    /// [`Self::apply`] for a whole feature map, using all threads.
    pub fn apply_to_map<T: Scalar>(&self, map: &mut [T], channels: usize, grid: Grid) {
        let pieces = map.par_chunks_mut(PIECE * channels).enumerate();
        pieces.for_each(|(i, pixels)| self.apply(pixels, channels, grid, i * PIECE));
    }

    /// Applies it to some pixels, `[pixel][channel]`, the first of which is number `first` of `grid`. The same function
    /// propagates the gradient back. Elements are numbered as in N, C, H, W, whatever their order in memory, so that
    /// the mask is that of [`crate::reference::dropout`].
    pub fn apply<T: Scalar>(&self, pixels: &mut [T], channels: usize, grid: Grid, first: usize) {
        let scale = T::of(1.0 / (1.0 - self.rate));
        let plane = grid.height * grid.width;
        for (pixel, values) in (first..).zip(pixels.chunks_exact_mut(channels)) {
            let (image, place) = (pixel / plane, pixel % plane);
            for (c, value) in values.iter_mut().enumerate() {
                let index = (image * channels + c) * plane + place;
                *value = if self.stream.keep(index as u64, self.rate) { *value * scale } else { T::zero() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_in_pieces_is_a_map_in_one() {
        let (channels, grid) = (3, Grid { images: 5, height: 19, width: 23 });
        let dropout = Dropout { stream: Stream::new(1, 2), rate: 0.4 };
        let map: Vec<f32> = (0..channels * grid.pixels()).map(|i| i as f32 + 1.0).collect();
        let (mut whole, mut pieces) = (map.clone(), map);
        dropout.apply(&mut whole, channels, grid, 0);
        dropout.apply_to_map(&mut pieces, channels, grid);
        assert!(grid.pixels() > PIECE && whole.contains(&0.0));
        assert_eq!(whole, pieces);
    }
}

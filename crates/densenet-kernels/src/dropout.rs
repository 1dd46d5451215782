//! Dropout of feature maps, drawn anew wherever it is needed instead of being stored.

use crate::Element;
use crate::maps::Grid;
use crate::random::Stream;

/// Zeroes elements with probability `rate` and scales the rest by `1 / (1 - rate)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Where the masks come from.
    pub stream: Stream,
    /// Probability of a zero, in `[0, 1)`.
    pub rate: f64,
}

impl Dropout {
    /// Applies it to some pixels, `[pixel][channel]` of `width` channels, the first of which is number `first` of
    /// `grid`. The same function takes the gradient back. Elements are numbered as in N, C, H, W, whatever the order in
    /// memory, so that the mask is that of [`crate::reference::dropout`].
    pub fn apply<T: Element>(&self, pixels: &mut [T], width: usize, grid: Grid, first: usize) {
        let scale = T::of(1.0 / (1.0 - self.rate));
        let plane = grid.height * grid.width;
        for (pixel, channels) in (first..).zip(pixels.chunks_exact_mut(width)) {
            let (image, place) = (pixel / plane, pixel % plane);
            for (c, value) in channels.iter_mut().enumerate() {
                let index = (image * width + c) * plane + place;
                *value = if self.stream.keep(index as u64, self.rate) { *value * scale } else { T::zero() };
            }
        }
    }
}

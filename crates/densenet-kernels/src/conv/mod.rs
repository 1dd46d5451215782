//! Convolution of a pre-activation, forward and backward: the operation that a DenseNet consists of.
//!
//! [`forward`] makes `y`; [`data_gradient`] takes the gradient of `y` back through convolution, ReLU and the linear part
//! of batch-norm; [`weight_gradient`] makes the gradient of the weights; [`point_gradients`] does both for a bottleneck. All
//! pack a band of their input into a [patch](crate::patch) and multiply it out of there, and none needs a transpose.

pub(crate) mod data_gradient;
pub(crate) mod forward;
mod outer;
pub(crate) mod point_gradients;
pub(crate) mod weight_gradient;

pub use data_gradient::data_gradient;
pub use forward::{forward, forward_again, forward_with_moments};
pub(crate) use outer::{Lines, outer_products};
pub use point_gradients::point_gradients;
pub use weight_gradient::{OutputGradient, weight_gradient};

use crate::isa::{Dispatch, Product};
use crate::maps::Grid;
use crate::panels::{Panel, Panels};
use crate::patch::Layout;
use crate::{Dropout, Element};

/// What is added to and done with a convolution's sums.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value an output channel.
    pub bias: Option<&'a [T]>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Zeroes results at random.
    pub dropout: Option<Dropout>,
    /// Added last: what a residual connection carries around the convolution, laid out as the output.
    pub skip: Option<&'a [T]>,
}

impl<T: Dispatch> Epilogue<'_, T> {
    /// Lower bound of the results.
    pub(crate) fn floor(&self) -> T {
        if self.relu { T::zero() } else { T::neg_infinity() }
    }

    /// What follows on the sums of some pixels of `width` channels, from pixel `first` of `grid` on.
    pub(crate) fn finish(&self, output: &mut [T], width: usize, grid: Grid, first: usize) {
        if let Some(dropout) = &self.dropout {
            dropout.apply(output, width, grid, first);
        }
        if let Some(skip) = self.skip {
            output.iter_mut().zip(&skip[first * width..]).for_each(|(to, &from)| *to += from);
        }
    }
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, relu: false, dropout: None, skip: None }
    }
}

/// Panels of convolution weights `[out][in][kernel][kernel]`, for [`forward`].
pub fn forward_panels<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> Panels<T> {
    let taps = kernel * kernel;
    assert_eq!(weight.len(), out * input * taps, "weights [{out}, {input}, {kernel}, {kernel}]");
    Panels::new(taps * input, out, |k, j| weight[(j * input + k % input) * taps + k / input])
}

/// Panels of convolution weights `[out][in][kernel][kernel]`, for [`data_gradient`]: turned by half a circle, reading
/// output channels.
pub fn backward_panels<T: Dispatch>(weight: &[T], out: usize, input: usize, kernel: usize) -> Panels<T> {
    let taps = kernel * kernel;
    assert_eq!(weight.len(), out * input * taps, "weights [{out}, {input}, {kernel}, {kernel}]");
    Panels::new(taps * out, input, |k, j| weight[(k % out * input + j) * taps + taps - 1 - k / out])
}

/// The product of so many neighbouring pixels of a patch, from `patch`'s start on, with a panel of weights: rows are
/// pixels, depth is channels.
#[inline(always)]
fn of_pixels<'a, T: Element>(
    (patch, layout, pixels): (&'a [T], &Layout, usize),
    taps: &'a [usize],
    (panel, b): (Panel, &'a [T]),
    floor: T,
) -> Product<'a, T> {
    Product {
        a: patch,
        row: layout.step(),
        step: 1,
        taps,
        depth: layout.depth,
        b,
        rows: pixels,
        vectors: panel.vectors,
        columns: panel.columns,
        floor,
        asks: false,
    }
}

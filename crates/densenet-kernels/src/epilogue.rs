//! The epilogue of a convolution: what is done to its sums.

use std::ops::Range;

use crate::dropout::Dropout;
use crate::gemm::{Beta, Panel};
use crate::scalar::Scalar;
use crate::shapes::Grid;
use crate::simd::Simd;
use crate::simd::strided::MatrixMut;

/// The operations on a convolution's sums, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// The bias, one value per output channel.
    pub bias: Option<&'a [T]>,
    /// Whether negative results are set to zero.
    pub relu: bool,
    /// Sets results to zero at random.
    pub dropout: Option<Dropout>,
    /// Added last: the input of a residual connection around the convolution, laid out like the output.
    pub skip: Option<&'a [T]>,
}

/// Bias and ReLU of one vector of output channels.
#[derive(Clone, Copy)]
pub(crate) struct EpilogueLanes<S: Simd> {
    bias: Option<S::V>,
    lower_clamp: Option<S::V>,
}

impl<T: Scalar> Epilogue<'_, T> {
    /// The initial values of a panel's sums.
    #[inline(always)]
    pub(crate) fn beta(&self, panel: &Panel) -> Beta<'_, T> {
        self.bias.map_or(Beta::Zero, |bias| Beta::Bias(&bias[panel.first..panel.first + panel.n]))
    }

    /// Lower bound of the sums including bias.
    #[inline(always)]
    pub(crate) fn lower_clamp(&self) -> T {
        if self.relu { T::zero() } else { T::neg_infinity() }
    }

    /// Bias and ReLU of some output channels, a vector's lanes or fewer.
    #[inline(always)]
    pub(crate) fn lanes<S: Simd<T = T>>(&self, simd: S, channels: Range<usize>) -> EpilogueLanes<S> {
        EpilogueLanes {
            bias: self.bias.map(|bias| simd.load(&bias[channels])),
            lower_clamp: self.relu.then(|| simd.splat(T::zero())),
        }
    }

    /// Dropout and skip connection for `channels` of some pixels, the first of which is number `first` of `grid`; the
    /// output has `all` channels.
    pub(crate) fn finish(
        &self,
        mut output: MatrixMut<'_, T>,
        channels: Range<usize>,
        all: usize,
        grid: Grid,
        first: usize,
    ) {
        if let Some(dropout) = &self.dropout {
            dropout.apply(output.contiguous(), all, grid, first);
        }
        if let Some(skip) = self.skip {
            for i in 0..output.rows() {
                let skip = &skip[(first + i) * all + channels.start..];
                output.row(i).iter_mut().zip(skip).for_each(|(to, &from)| *to += from);
            }
        }
    }
}

impl<S: Simd> EpilogueLanes<S> {
    /// Adds the bias to `sums` and clamps them.
    #[inline(always)]
    pub fn apply(self, simd: S, sums: &mut [S::V]) {
        if let Some(bias) = self.bias {
            for sum in sums.iter_mut() {
                *sum = simd.add(*sum, bias);
            }
        }
        if let Some(lower_clamp) = self.lower_clamp {
            for sum in sums.iter_mut() {
                *sum = simd.max(lower_clamp, *sum);
            }
        }
    }
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, relu: false, dropout: None, skip: None }
    }
}

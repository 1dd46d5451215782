//! A linear layer `y = x w^T + b`, forward and backward: a 1x1 convolution whose pixels are the rows of the batch.

use crate::direct::{self, OutputGradient};
use crate::epilogue::Epilogue;
use crate::gemm::PackedWeights;
use crate::instantiate::instantiate;
use crate::pack::Input;
use crate::scalar::Precision;
use crate::shapes::{Grid, Window};

/// A linear layer's weights, packed for [`forward`].
#[derive(Debug)]
pub struct PackedLinear<T: Precision>(PackedWeights<T>);

impl<T: Precision> PackedLinear<T> {
    /// Number of input features.
    pub fn in_features(&self) -> usize {
        self.0.k()
    }

    /// Number of output features.
    pub fn out_features(&self) -> usize {
        self.0.n()
    }
}

/// The rows of `data` as pixels of one image.
fn rows<T>(data: &[T], features: usize) -> Input<'_, T> {
    let grid = Grid { images: 1, height: 1, width: data.len() / features };
    Input::Raw { data, grid, channels: features }
}

instantiate! {
    /// Packs weights `[out][in]`.
    pub fn pack<T>(weight: &[T], out: usize) -> PackedLinear<T> {
        PackedLinear(direct::pack_forward(weight, out, weight.len() / out, 1))
    }

    /// Computes `y` `(N, out)` from `x` `(N, in)`, optionally followed by a ReLU.
    ///
    /// # Panics
    /// If `x`, `bias` or `y` do not fit the weights.
    pub fn forward<T>(x: &[T], weights: &PackedLinear<T>, bias: &[T], relu: bool, y: &mut [T]) {
        let epilogue = Epilogue { bias: Some(bias), relu, ..Epilogue::default() };
        direct::forward(&rows(x, weights.in_features()), Window::POINT, &weights.0, &epilogue, y);
    }

    /// Computes the gradient `dx` `(N, in)` of the layer's input from the gradient `dy` `(N, out)` and weights
    /// `[out][in]`.
    pub fn backward_data<T>(dy: &[T], weight: &[T], out: usize, dx: &mut [T]) {
        let weights = direct::pack_backward(weight, out, weight.len() / out, 1);
        direct::forward(&rows(dy, out), Window::POINT, &weights, &Epilogue::default(), dx);
    }

    /// Propagates the gradient `dy` of a ReLU with output `y` back, in place.
    pub fn backward_relu<T>(y: &[T], dy: &mut [T]) {
        assert_eq!(y.len(), dy.len(), "gradient of a ReLU");
        dy.iter_mut().zip(y).filter(|&(_, &y)| y <= 0.0).for_each(|(dy, _)| *dy = 0.0);
    }

    /// Computes the gradients `dw`, `[out][in]`, and `db` of weights and bias from `x` `(N, in)` and the gradient `dy`
    /// `(N, out)`.
    pub fn backward_weights<T>(x: &[T], dy: &[T], dw: &mut [T], db: &mut [T]) {
        let channels = db.len();
        let dy_rows = OutputGradient::Finished { dy, channels };
        direct::backward_weights(&rows(x, dw.len() / channels), Window::POINT, &dy_rows, dw);
        db.copy_from_slice(&direct::backward_bias(dy, channels));
    }
}

//! The gradient of the pictures read by a network's first convolution.

use rayon::prelude::*;

use super::{forward, pack_backward};
use crate::epilogue::Epilogue;
use crate::instantiate::instantiate;
use crate::memory::Scratch;
use crate::pack::Input;
use crate::scalar::Scalar;
use crate::shapes::{Grid, Window};

/// Elements of the products of some output rows: 1 MiB in `f32`.
const PRODUCTS: usize = 256 * 1024;

instantiate! {
    /// The gradient `dx`, `[image][channel][y][x]`, of pictures of `grid` that were read by a convolution of `window`,
    /// from the gradient `dy`, `[image][y][x][channel]`, of its output, and its weights `[out][in][kernel][kernel]`.
    /// Training does not need it; an explanation of which pixels a prediction depends on does.
    ///
    /// A product computes what each output pixel passes to all places of its window, which is then summed (col2im).
    ///
    /// # Panics
    /// If the gradients or the weights do not fit `window` and `grid`.
    pub fn backward_pictures<T>(dy: &[T], weight: &[T], window: Window, grid: Grid, dx: &mut [T]) {
        let (output, offsets) = (window.output(grid), window.kernel * window.kernel);
        let out = dy.len() / output.pixels();
        assert_eq!(dy.len(), out * output.pixels(), "output gradient of {output:?}");
        let channels = dx.len() / grid.pixels();
        assert_eq!(dx.len(), channels * grid.pixels(), "gradient of {grid:?}");
        let places = channels * offsets;
        // To a 1x1 convolution, each place of the window is a channel.
        let weights = pack_backward(weight, out, places, 1);
        let strip = (PRODUCTS / (places * output.width)).max(1) * output.width;
        let images = dx.par_chunks_mut(dx.len() / grid.images).zip(dy.par_chunks(dy.len() / grid.images));
        images.with_max_len(1).for_each(|(dx, dy)| {
            dx.fill(0.0);
            for (i, dy) in dy.chunks(strip * out).enumerate() {
                let pixels = Grid { images: 1, height: 1, width: dy.len() / out };
                T::scratch(pixels.width * places, |products| {
                    let input = Input::Raw { data: dy, grid: pixels, channels: out };
                    forward(&input, Window::POINT, &weights, &Epilogue::default(), products);
                    add_windows(products, i * strip, window, grid, dx);
                });
            }
        });
    }
}

/// Adds the `products`, `[output pixel][channel][place in the window]`, of neighbouring output pixels, the first of
/// which is number `first`, to the gradient `dx`, `[channel][y][x]`, of a picture.
fn add_windows<T: Scalar>(products: &[T], first: usize, window: Window, grid: Grid, dx: &mut [T]) {
    let (Window { kernel, stride, padding }, width) = (window, window.output(grid).width);
    let (plane, offsets) = (grid.height * grid.width, kernel * kernel);
    let places = dx.len() / plane * offsets;
    for (i, products) in products.chunks_exact(places).enumerate() {
        let (y, x) = ((first + i) / width, (first + i) % width);
        let (rows, columns) = (window.inputs(y, grid.height), window.inputs(x, grid.width));
        for (products, dx) in products.chunks_exact(offsets).zip(dx.chunks_exact_mut(plane)) {
            for row in rows.clone() {
                let from = (row + padding - y * stride) * kernel + columns.start + padding - x * stride;
                let dx = &mut dx[row * grid.width..][columns.clone()];
                dx.iter_mut().zip(&products[from..]).for_each(|(dx, &product)| *dx += product);
            }
        }
    }
}

//! `direct::backward_pictures`.

use densenet_kernels::direct::backward_pictures;
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::conv::Conv;
use densenet_kernels::{Real, Window};

use crate::block::grid;
use crate::check::{assert_close, doubles, elements, on_every_set, poisoned};
use crate::conv_case::WINDOWS;
use crate::draw::{Draw, cases};
use crate::layout::to_maps;

/// A convolution of pictures, and their gradient by the reference.
pub struct PictureCase {
    shape: Shape4,
    window: Window,
    output: Shape4,
    weight: Vec<f64>,
    dy: Vec<f64>,
    dx: Vec<f64>,
}

impl PictureCase {
    /// Random values of a convolution of pictures of `shape`.
    pub fn new(draw: &mut Draw, shape: Shape4, window: Window, out_channels: usize) -> Self {
        let Window { kernel, stride, padding } = window;
        let conv = Conv { out_channels, kernel, stride, padding };
        let output = conv.output(shape);
        let places = shape.c * kernel * kernel;
        let weight = draw.values(out_channels * places, (3.0 / places as f64).sqrt());
        let dy = draw.values(output.len(), 1.0);
        let dx = conv.backward(shape, &vec![0.0; shape.len()], &weight, &dy).dx;
        Self { shape, window, output, weight, dy, dx }
    }

    /// The gradient, `(N, C, H, W)`.
    pub fn gradient<T: Real>(&self, name: &str) -> Vec<T> {
        let dy: Vec<T> = to_maps(self.output, &[self.output.c], &self.dy);
        let weight: Vec<T> = elements(&self.weight);
        let run = |dx: &mut [T]| backward_pictures(&dy, &weight, self.window, grid(self.shape), dx);
        poisoned(name, self.shape.len(), run).0
    }

    fn check<T: Real>(&self, name: &str) {
        assert_close::<T>(name, "gradient", &doubles(&self.gradient::<T>(name)), &self.dx);
    }
}

/// The window of case number `seed`: the family's, or any that fits `extent` pixels, steps that leave pixels out among them.
fn any_window(draw: &mut Draw, seed: u64, extent: usize) -> Window {
    let kernel = draw.between(1, 7.min(extent));
    let other = Window { kernel, stride: draw.between(1, 4), padding: draw.between(0, kernel / 2) };
    WINDOWS.get(seed as usize % 6).copied().unwrap_or(other)
}

#[test]
fn equals_the_reference() {
    for seed in cases(60) {
        let mut draw = Draw::new(31, seed);
        let shape = Shape4::new(draw.between(1, 3), draw.between(1, 4), draw.extent(1, 40), draw.extent(1, 40));
        let window = any_window(&mut draw, seed, shape.h.min(shape.w));
        let out_channels = draw.between(1, 40);
        let name = format!("seed {seed}, {shape:?}, {window:?}, {out_channels} channels");
        let case = PictureCase::new(&mut draw, shape, window, out_channels);
        on_every_set(|| case.check::<f32>(&name));
        case.check::<f64>(&name);
    }
}

/// Windows of one strip of output rows reach into the pictures' rows of the next.
#[test]
#[cfg(not(miri))]
fn strips_of_rows_add_up() {
    let mut draw = Draw::new(32, 0);
    let [_, _, imagenet] = WINDOWS;
    let case = PictureCase::new(&mut draw, Shape4::new(2, 3, 120, 90), imagenet, 5);
    on_every_set(|| case.check::<f32>("7x7 of 120x90"));
}

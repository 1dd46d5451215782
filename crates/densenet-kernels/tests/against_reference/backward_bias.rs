//! `direct::backward_bias`.

use densenet_kernels::Real;
use densenet_kernels::direct::backward_bias;
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::conv::Conv;

use crate::check::{assert_close, doubles, on_every_set};
use crate::draw::{Draw, cases};
use crate::layout::to_maps;

fn check<T: Real>(name: &str, shape: Shape4, dy: &[f64], expected: &[f64]) {
    let sums = backward_bias(&to_maps::<T>(shape, &[shape.c], dy), shape.c);
    assert_close::<T>(name, "sums", &doubles(&sums), expected);
}

#[test]
fn equals_the_reference() {
    for seed in cases(60) {
        let mut draw = Draw::new(9, seed);
        let shape = Shape4::new(draw.between(1, 5), draw.extent(1, 140), draw.extent(1, 40), draw.extent(1, 40));
        let dy = draw.values(shape.len(), 1.0);
        let conv = Conv { out_channels: shape.c, kernel: 1, stride: 1, padding: 0 };
        let input = Shape4 { c: 1, ..shape };
        let expected = conv.backward(input, &vec![0.0; input.len()], &vec![0.0; shape.c], &dy).dbias;
        on_every_set(|| check::<f32>(&format!("seed {seed}, {shape:?}"), shape, &dy, &expected));
        check::<f64>(&format!("seed {seed}, {shape:?}"), shape, &dy, &expected);
    }
}

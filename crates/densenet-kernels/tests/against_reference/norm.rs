//! `norm::column_sums`.

use densenet_kernels::isa::Dispatch;
use densenet_kernels::norm::column_sums;
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::conv::Conv;

use crate::check::{assert_close, doubles};
use crate::draw::Draw;
use crate::layout::to_maps;

fn check<T: Dispatch>(name: &str, shape: Shape4, dy: &[f64], expected: &[f64]) {
    let sums = column_sums(&to_maps::<T>(shape, &[shape.c], dy), shape.c);
    assert_close::<T>(name, "sums", &doubles(&sums), expected);
}

/// They are the gradient of a convolution's bias.
#[test]
fn column_sums_equal_the_reference() {
    for seed in 0..60 {
        let mut draw = Draw::new(9, seed);
        let shape = Shape4::new(draw.between(1, 5), draw.between(1, 140), draw.extent(1, 40), draw.extent(1, 40));
        let dy = draw.values(shape.len(), 1.0);
        let conv = Conv { out_channels: shape.c, kernel: 1, stride: 1, padding: 0 };
        let input = Shape4 { c: 1, ..shape };
        let expected = conv.backward(input, &vec![0.0; input.len()], &vec![0.0; shape.c], &dy).dbias;
        check::<f32>(&format!("seed {seed}, {shape:?}"), shape, &dy, &expected);
        check::<f64>(&format!("seed {seed}, {shape:?}"), shape, &dy, &expected);
    }
}

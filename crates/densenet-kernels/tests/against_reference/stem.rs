//! `stem::forward`, `forward_with_moments` and `backward`.

use densenet_kernels::isa::Dispatch;
use densenet_kernels::reference::pool::MaxPool;
use densenet_kernels::reference::relu;
use densenet_kernels::stem::{backward, forward, forward_with_moments};

use crate::block::{Reader, Typed};
use crate::check::{assert_close, poisoned};
use crate::data_gradient::assert_sums;
use crate::draw::Draw;
use crate::layout::{from_maps, to_maps};
use crate::moments::assert_moments;

const POOL: MaxPool = MaxPool { kernel: 3, stride: 2, padding: 1 };

fn check<T: Dispatch>(name: &str, reader: &Reader, y: &[f64], dy: &[f64], dz: &[f64]) {
    let (typed, output, widths) = (Typed::<T>::new(reader), POOL.output(reader.shape), &reader.widths);
    let (plain, ()) = poisoned(name, y.len(), |y| forward(&typed.maps(), typed.affine(), y));
    let (got, moments) = poisoned(name, y.len(), |y| forward_with_moments(&typed.maps(), typed.affine(), y));
    assert!(got == plain, "{name}: the output depends on whether moments are taken");
    let got = from_maps(output, widths, &got);
    assert_close::<T>(name, "output", &got, y);
    assert_moments(name, output, &got, &moments);
    let dy: Vec<T> = to_maps(output, widths, dy);
    let (gradient, sums) = poisoned(name, reader.shape.len(), |gradient| backward(&typed.normalised(), &dy, gradient));
    assert_close::<T>(name, "gradient", &from_maps(reader.shape, widths, &gradient), &reader.scaled(dz));
    assert_sums(name, reader, dz, &sums);
}

#[test]
fn equals_the_reference() {
    for seed in 0..80 {
        let mut draw = Draw::new(8, seed);
        let extents = (draw.between(1, 5), draw.extent(1, 40), draw.extent(1, 40));
        let widths = [draw.map_width()];
        let name = format!("seed {seed}, {extents:?}, {widths:?}");
        let reader = Reader::new(&mut draw, extents, &widths);
        let z = reader.z();
        let (y, places) = POOL.forward(reader.shape, &relu::forward(&z));
        let dy = draw.values(y.len(), 1.0);
        let dz = relu::backward(&z, &POOL.backward(reader.shape, &places, &dy));
        check::<f32>(&name, &reader, &y, &dy, &dz);
        check::<f64>(&name, &reader, &y, &dy, &dz);
    }
}

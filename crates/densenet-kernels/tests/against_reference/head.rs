//! `head::forward` and `head::backward`.

use densenet_kernels::Real;
use densenet_kernels::head::{backward, forward};
use densenet_kernels::reference::{pool, relu};

use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, doubles, elements, on_every_set, poisoned};
use crate::draw::{Draw, cases};
use crate::layout::from_maps;
use crate::not_a_number::assert_passes;

fn check<T: Real>(name: &str, reader: &Reader, rectify: bool, pooled: &[f64], dy: &[f64], dz: &[f64]) {
    let typed = Typed::<T>::new(reader);
    let (got, ()) = poisoned(name, pooled.len(), |pooled| forward(&typed.maps(), typed.affine(), rectify, pooled));
    assert_close::<T>(name, "features", &doubles(&got), pooled);
    let dy: Vec<T> = elements(dy);
    let (gradient, sums) =
        poisoned(name, reader.shape.len(), |gradient| backward(&typed.normalised(), rectify, &dy, gradient));
    assert_close::<T>(name, "gradient", &from_maps(reader.shape, &reader.widths, &gradient), &reader.scaled(dz));
    assert_sums(name, reader, dz, &sums);
}

#[test]
fn equals_the_reference() {
    for seed in cases(100) {
        let mut draw = Draw::new(7, seed);
        let extents = (draw.between(1, 5), draw.extent(1, 20), draw.extent(1, 20));
        let widths: Vec<usize> = (0..draw.between(1, 5)).map(|_| draw.map_width()).collect();
        let rectify = seed % 4 != 3;
        let name = format!("seed {seed}, {extents:?}, {widths:?}, relu {rectify}");
        let reader = Reader::new(&mut draw, extents, &widths);
        let z = reader.z();
        let rectified = if rectify { relu::forward(&z) } else { z.clone() };
        let pooled = pool::global_average(reader.shape, &rectified);
        // As large as the pixels are many, so that each gets a gradient of about one.
        let dy = draw.values(pooled.len(), reader.shape.plane() as f64);
        let dz = pool::global_average_backward(reader.shape, &dy);
        let dz = if rectify { relu::backward(&z, &dz) } else { dz };
        on_every_set(|| check::<f32>(&name, &reader, rectify, &pooled, &dy, &dz));
        check::<f64>(&name, &reader, rectify, &pooled, &dy, &dz);
    }
}

#[test]
fn a_pre_activation_that_is_no_number_passes_its_gradient() {
    let mut draw = Draw::new(25, 0);
    let reader = Reader::new(&mut draw, (3, 5, 6), &[20, 7]);
    let dy = draw.values(reader.shape.n * reader.shape.c, reader.shape.plane() as f64);
    let da = pool::global_average_backward(reader.shape, &dy);
    on_every_set(|| {
        assert_passes::<f32>("head", &reader, &da, |reader| {
            let typed = Typed::new(reader);
            poisoned("head", reader.shape.len(), |dx| backward(&typed.normalised(), true, &elements(&dy), dx))
        });
    });
}

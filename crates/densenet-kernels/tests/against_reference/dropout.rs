//! `Dropout::apply`.

use densenet_kernels::Dropout;
use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::dropout::dropout;

use crate::block::grid;
use crate::check::{doubles, elements, guarded, on_every_set};
use crate::draw::{Draw, cases};
use crate::layout::{from_maps, to_maps};

/// Scalar for element, in two calls that meet at pixel `middle`.
fn check<T: Real>(name: &str, shape: Shape4, x: &[f64], apply: Dropout, middle: usize) {
    let (y, ()) = guarded(name, to_maps::<T>(shape, &[shape.c], x), |pixels| {
        let (front, back) = pixels.split_at_mut(middle * shape.c);
        apply.apply(front, shape.c, grid(shape), 0);
        apply.apply(back, shape.c, grid(shape), middle);
    });
    let expected = doubles(&dropout(&elements::<T>(x), apply.stream, apply.rate));
    assert_eq!(from_maps(shape, &[shape.c], &y), expected, "{name}");
}

#[test]
fn equals_the_reference() {
    for seed in cases(60) {
        let mut draw = Draw::new(10, seed);
        let shape = Shape4::new(draw.between(1, 5), draw.extent(1, 70), draw.extent(1, 20), draw.extent(1, 20));
        let x = draw.values(shape.len(), 1.0);
        let apply = Dropout { stream: Stream::new(seed, 4), rate: [0.0, 0.2, 0.5, 0.9][seed as usize % 4] };
        let middle = draw.between(0, shape.n * shape.plane());
        let name = format!("seed {seed}, {shape:?}, rate {}, cut at {middle}", apply.rate);
        on_every_set(|| check::<f32>(&name, shape, &x, apply, middle));
        check::<f64>(&name, shape, &x, apply, middle);
    }
}

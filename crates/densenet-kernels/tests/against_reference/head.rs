//! `head::forward` and `head::backward`.

use densenet_kernels::Real;
use densenet_kernels::head::{Pool, backward, forward};
use densenet_kernels::reference::{Shape4, pool, relu};

use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, doubles, elements, on_every_set, poisoned};
use crate::draw::{Draw, cases};
use crate::layout::from_maps;
use crate::not_a_number::assert_passes;

const POOLS: [Pool; 3] = [Pool::Average, Pool::Max, Pool::Flatten];

/// Features of `a` `(N, C, H, W)`.
fn features(pool: Pool, shape: Shape4, a: &[f64]) -> Vec<f64> {
    match pool {
        Pool::Average => pool::global_average(shape, a),
        Pool::Max => pool::global_max(shape, a).0,
        Pool::Flatten => a.to_vec(),
    }
}

/// The gradient of `a` for that of [`features`].
fn features_backward(pool: Pool, shape: Shape4, a: &[f64], dy: &[f64]) -> Vec<f64> {
    match pool {
        Pool::Average => pool::global_average_backward(shape, dy),
        Pool::Max => pool::max_backward(shape, &pool::global_max(shape, a).1, dy),
        Pool::Flatten => dy.to_vec(),
    }
}

/// A pooling after a ReLU or not.
#[derive(Clone, Copy, Debug)]
struct Head {
    relu: bool,
    pool: Pool,
}

fn check<T: Real>(name: &str, reader: &Reader, Head { relu, pool }: Head, expected: &[f64], dy: &[f64], dz: &[f64]) {
    let typed = Typed::<T>::new(reader);
    let (got, ()) = poisoned(name, expected.len(), |to| forward(&typed.maps(), typed.affine(), relu, pool, to));
    assert_close::<T>(name, "features", &doubles(&got), expected);
    let dy: Vec<T> = elements(dy);
    let (gradient, sums) =
        poisoned(name, reader.shape.len(), |gradient| backward(&typed.normalised(), relu, pool, &dy, gradient));
    assert_close::<T>(name, "gradient", &from_maps(reader.shape, &reader.widths, &gradient), &reader.scaled(dz));
    assert_sums(name, reader, dz, &sums);
}

#[test]
fn equals_the_reference() {
    for seed in cases(180) {
        let mut draw = Draw::new(7, seed);
        let extents = (draw.between(1, 5), draw.extent(1, 20), draw.extent(1, 20));
        let widths: Vec<usize> = (0..draw.between(1, 5)).map(|_| draw.map_width()).collect();
        let head = Head { relu: seed % 4 != 3, pool: POOLS[seed as usize % POOLS.len()] };
        let name = format!("seed {seed}, {extents:?}, {widths:?}, {head:?}");
        let reader = Reader::new(&mut draw, extents, &widths);
        let z = reader.z();
        let a = if head.relu { relu::forward(&z) } else { z.clone() };
        let expected = features(head.pool, reader.shape, &a);
        // As large as the pixels that share it are many, so that each gets a gradient of about one.
        let pixels = if head.pool == Pool::Average { reader.shape.plane() } else { 1 };
        let dy = draw.values(expected.len(), pixels as f64);
        let da = features_backward(head.pool, reader.shape, &a, &dy);
        let dz = if head.relu { relu::backward(&z, &da) } else { da };
        on_every_set(|| check::<f32>(&name, &reader, head, &expected, &dy, &dz));
        check::<f64>(&name, &reader, head, &expected, &dy, &dz);
    }
}

#[test]
fn a_pre_activation_that_is_no_number_passes_its_gradient() {
    let mut draw = Draw::new(25, 0);
    let reader = Reader::new(&mut draw, (3, 5, 6), &[20, 7]);
    for pool in [Pool::Average, Pool::Flatten] {
        let a = relu::forward(&reader.z());
        let dy = draw.values(features(pool, reader.shape, &a).len(), reader.shape.plane() as f64);
        let da = features_backward(pool, reader.shape, &a, &dy);
        on_every_set(|| {
            assert_passes::<f32>("head", &reader, &da, |reader| {
                let typed = Typed::new(reader);
                poisoned("head", reader.shape.len(), |dx| backward(&typed.normalised(), true, pool, &elements(&dy), dx))
            });
        });
    }
}

/// A maximum must not forget that a pixel was no number, wherever that stands.
#[test]
fn the_maximum_of_what_holds_no_number_is_none() {
    let mut reader = Reader::new(&mut Draw::new(28, 0), (1, 2, 3), &[21]);
    for pixel in 0..reader.shape.plane() {
        let before = reader.x.clone();
        (0..reader.shape.c).for_each(|c| reader.x[c * reader.shape.plane() + pixel] = f64::NAN);
        on_every_set(|| {
            let typed = Typed::<f32>::new(&reader);
            let (got, ()) =
                poisoned("maximum", reader.shape.c, |to| forward(&typed.maps(), typed.affine(), true, Pool::Max, to));
            assert!(got.iter().all(|value| value.is_nan()), "pixel {pixel}: {got:?}");
        });
        reader.x = before;
    }
}

/// Of equal maxima the first pixel takes all of the gradient.
#[test]
fn ties_pass_a_gradient_once() {
    let mut reader = Reader::new(&mut Draw::new(29, 0), (2, 3, 3), &[9]);
    reader.gamma.fill(1.0);
    reader.beta.fill(100.0);
    reader.x.fill(0.0);
    let first = |place: usize| if place.is_multiple_of(reader.shape.plane()) { 2.0 } else { 0.0 };
    let expected: Vec<f64> = (0..reader.shape.len()).map(first).collect();
    on_every_set(|| {
        let typed = Typed::<f32>::new(&reader);
        let dy = vec![2.0; reader.shape.n * reader.shape.c];
        let run = |dx: &mut [f32]| backward(&typed.normalised(), true, Pool::Max, &dy, dx);
        let (dx, sums) = poisoned("ties", reader.shape.len(), run);
        assert_eq!(from_maps(reader.shape, &reader.widths, &dx), expected);
        assert_eq!(sums.beta, vec![4.0; reader.shape.c]);
    });
}

//! `stem::forward`, `forward_with_moments` and `backward`.

use densenet_kernels::reference::{Shape4, pool, relu};
use densenet_kernels::stem::{Pool, backward, forward, forward_with_moments};
use densenet_kernels::{Real, Window};

use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, on_every_set, poisoned};
use crate::draw::{Draw, cases};
use crate::layout::{from_maps, to_maps};
use crate::moments::assert_moments;
use crate::not_a_number::assert_passes;

/// What the reference makes of a window.
fn window(pool: Pool) -> pool::Pool {
    let Window { kernel, stride, padding } = pool.window();
    pool::Pool { kernel, stride, padding }
}

/// Pooled `a` `(N, C, H, W)`.
fn pooled(pool: Pool, shape: Shape4, a: &[f64]) -> Vec<f64> {
    match pool {
        Pool::Max(_) => window(pool).max(shape, a).0,
        Pool::Average(_) => window(pool).average(shape, a),
    }
}

/// The gradient of `a` for that of [`pooled`].
fn pooled_backward(pool: Pool, shape: Shape4, a: &[f64], dy: &[f64]) -> Vec<f64> {
    match pool {
        Pool::Max(_) => pool::max_backward(shape, &window(pool).max(shape, a).1, dy),
        Pool::Average(_) => window(pool).average_backward(shape, dy),
    }
}

fn check<T: Real>(name: &str, reader: &Reader, pool: Pool, y: &[f64], dy: &[f64], dz: &[f64]) {
    let (typed, output, widths) = (Typed::<T>::new(reader), window(pool).output(reader.shape), &reader.widths);
    let (plain, ()) = poisoned(name, y.len(), |y| forward(&typed.maps(), typed.affine(), pool, y));
    let (got, moments) = poisoned(name, y.len(), |y| forward_with_moments(&typed.maps(), typed.affine(), pool, y));
    assert!(got == plain, "{name}: the output depends on whether moments are taken");
    let got = from_maps(output, widths, &got);
    assert_close::<T>(name, "output", &got, y);
    assert_moments(name, output, &got, &moments);
    let dy: Vec<T> = to_maps(output, widths, dy);
    let (gradient, sums) =
        poisoned(name, reader.shape.len(), |gradient| backward(&typed.normalised(), pool, &dy, gradient));
    assert_close::<T>(name, "gradient", &from_maps(reader.shape, widths, &gradient), &reader.scaled(dz));
    assert_sums(name, reader, dz, &sums);
}

/// The pooling of case number `seed`: the networks' own, or any that fits a map of `extent` pixels, steps that leave pixels
/// out among them.
fn any_pool(draw: &mut Draw, seed: u64, extent: usize) -> Pool {
    let kernel = draw.between(1, 6.min(extent));
    let other = Window { kernel, stride: draw.between(1, 7), padding: draw.between(0, kernel / 2) };
    match seed % 8 {
        0 => Pool::NONE,
        1 | 2 => Pool::IMAGENET,
        3 => Pool::Average(Pool::IMAGENET.window()),
        4 | 5 => Pool::Max(other),
        _ => Pool::Average(other),
    }
}

#[test]
fn equals_the_reference() {
    for seed in cases(120) {
        let mut draw = Draw::new(8, seed);
        let extents = (draw.between(1, 5), draw.extent(1, 40), draw.extent(1, 40));
        let widths = [draw.map_width()];
        let pool = any_pool(&mut draw, seed, extents.1.min(extents.2));
        let name = format!("seed {seed}, {pool:?}, {extents:?}, {widths:?}");
        let reader = Reader::new(&mut draw, extents, &widths);
        let z = reader.z();
        let a = relu::forward(&z);
        let y = pooled(pool, reader.shape, &a);
        let dy = draw.values(y.len(), 1.0);
        let dz = relu::backward(&z, &pooled_backward(pool, reader.shape, &a, &dy));
        on_every_set(|| check::<f32>(&name, &reader, pool, &y, &dy, &dz));
        check::<f64>(&name, &reader, pool, &y, &dy, &dz);
    }
}

/// Of equal maxima the first takes all of the gradient, however large that is, and nothing is left for the others.
#[test]
fn ties_pass_an_infinite_gradient_once() {
    let mut reader = Reader::new(&mut Draw::new(19, 0), (1, 3, 3), &[9]);
    reader.gamma.fill(1.0);
    reader.beta.fill(100.0);
    reader.x.fill(0.0);
    // Pixels 0 and 1 are the first of the windows that begin at them, 3 and 4 those of the windows in the row below.
    let expected: Vec<f64> = (0..reader.shape.len())
        .map(|place| if [0, 1, 3, 4].contains(&(place % reader.shape.plane())) { f64::INFINITY } else { 0.0 })
        .collect();
    on_every_set(|| {
        let typed = Typed::<f32>::new(&reader);
        let dy = vec![f32::INFINITY; 4 * reader.shape.c];
        let (dx, sums) =
            poisoned("ties", reader.shape.len(), |dx| backward(&typed.normalised(), Pool::IMAGENET, &dy, dx));
        assert_eq!(from_maps(reader.shape, &reader.widths, &dx), expected);
        assert_eq!(sums.beta, vec![f32::INFINITY; reader.shape.c]);
        assert!(sums.gamma.iter().all(|sum| sum.is_infinite()), "{:?}", sums.gamma);
    });
}

/// A gradient that is infinite in one of two windows that share their maximum, which is no tie, stays out of the others.
#[test]
fn an_infinite_gradient_reaches_no_other_window() {
    let mut draw = Draw::new(26, 0);
    let reader = Reader::new(&mut draw, (1, 9, 9), &[9]);
    let z = reader.z();
    let output = window(Pool::IMAGENET).output(reader.shape);
    let mut dy = draw.values(output.len(), 1.0);
    for c in 0..output.c {
        // Of a channel's middle window.
        dy[output.index(0, c, 2, 2)] = f64::INFINITY;
    }
    let dz = relu::backward(&z, &pooled_backward(Pool::IMAGENET, reader.shape, &relu::forward(&z), &dy));
    assert!(dz.iter().any(|value| value.is_infinite()));
    on_every_set(|| {
        let typed = Typed::<f32>::new(&reader);
        let dy: Vec<f32> = to_maps(output, &reader.widths, &dy);
        let (dx, _) =
            poisoned("infinite", reader.shape.len(), |dx| backward(&typed.normalised(), Pool::IMAGENET, &dy, dx));
        let (dx, scaled) = (from_maps(reader.shape, &reader.widths, &dx), reader.scaled(&dz));
        for (place, (got, expected)) in dx.iter().zip(&scaled).enumerate() {
            assert!(got == expected || (got - expected).abs() < 1e-5, "element {place}: {got} for {expected}");
        }
    });
}

#[test]
fn a_pre_activation_that_is_no_number_passes_its_gradient_through_an_average() {
    let mut draw = Draw::new(27, 0);
    let reader = Reader::new(&mut draw, (3, 6, 8), &[20]);
    let pool = Pool::Average(Window { kernel: 2, stride: 2, padding: 0 });
    let output = window(pool).output(reader.shape);
    // As large as the pixels are many, so that each gets a gradient of about one.
    let dy = draw.values(output.len(), 4.0);
    let da = window(pool).average_backward(reader.shape, &dy);
    on_every_set(|| {
        let dy = to_maps(output, &reader.widths, &dy);
        assert_passes::<f32>("average", &reader, &da, |reader| {
            let typed = Typed::new(reader);
            poisoned("average", reader.shape.len(), |dx| backward(&typed.normalised(), pool, &dy, dx))
        });
    });
}

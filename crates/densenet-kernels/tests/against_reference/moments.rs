//! `direct::forward_with_moments` and, where it applies, `winograd::forward_with_moments`.

use densenet_kernels::Real;
use densenet_kernels::batch_norm::Moments;
use densenet_kernels::conv::Epilogue;
use densenet_kernels::direct::{forward, forward_with_moments, pack_forward, recompute};
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::batch_norm::{self, Statistics};
use densenet_kernels::winograd::{self, Filters, TileSize};

use crate::block::Reader;
use crate::check::{assert_close, assert_within, doubles, elements, norm, on_every_set, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS, for_each_case};
use crate::draw::Draw;
use crate::layout::from_maps;

/// Checks `moments` of `output` `(N, C, H, W)`.
pub fn assert_moments<T: Real>(name: &str, shape: Shape4, output: &[f64], moments: &Moments<T>) {
    let Statistics { mean, variance } = batch_norm::statistics(shape, output);
    assert_close::<T>(name, "mean", &doubles(&moments.mean), &mean);
    assert_close::<T>(name, "variance", &doubles(&moments.variance), &variance);
}

/// Output and moments of `case`, whose output has `output`'s extents.
fn run<T: Real>(
    name: &str,
    case: &Case,
    reader: &Reader,
    (weights, bias): (&[f64], &[f64]),
    output: Shape4,
) -> (Vec<T>, Moments<T>) {
    let packed = pack_forward::<T>(&elements(weights), case.out, case.channels(), case.window.kernel);
    let bias: Vec<T> = elements(bias);
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
    case.input::<T, _>(reader, |input| {
        let (plain, ()) = poisoned(name, output.len(), |y| forward(input, case.window, &packed, &epilogue, y));
        let (again, ()) = poisoned(name, output.len(), |y| recompute(input, case.window, &packed, &epilogue, y));
        let (y, moments) =
            poisoned(name, output.len(), |y| forward_with_moments(input, case.window, &packed, &epilogue, y));
        assert!(y == plain && y == again, "{name}: the output depends on whether moments are taken");
        (y, moments)
    })
}

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, parameters: (&[f64], &[f64])) {
    let output = case.conv().output(case.seen(reader).0);
    let (y, moments) = run::<T>(name, case, reader, parameters, output);
    assert_moments(name, output, &from_maps(output, &[case.out], &y), &moments);
    for tile in [TileSize::Two, TileSize::Four].into_iter().filter(|_| case.has_tiles()) {
        let filters = Filters::<T>::new(tile, &elements(parameters.0), case.out, case.channels());
        let bias: Vec<T> = elements(parameters.1);
        let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
        case.input::<T, _>(reader, |input| {
            let (plain, ()) = poisoned(name, output.len(), |y| winograd::forward(input, &filters, &epilogue, y));
            let with_moments = |y: &mut [T]| winograd::forward_with_moments(input, &filters, &epilogue, y);
            let (y, moments) = poisoned(name, output.len(), with_moments);
            assert!(y == plain, "{name}: the output by {tile:?} depends on whether moments are taken");
            assert_moments(name, output, &from_maps(output, &[case.out], &y), &moments);
        });
    }
}

#[test]
fn are_the_moments_of_the_output() {
    for_each_case(2, 8, |name, draw, case| {
        let reader = Reader::new(draw, case.extents, &case.widths);
        let (weights, bias) = (case.weights(draw), draw.values(case.out, 1.0));
        on_every_set(|| check::<f32>(name, case, &reader, (&weights, &bias)));
        check::<f64>(name, case, &reader, (&weights, &bias));
    });
}

/// Values near 1000 have an `f32` step of 6e-5, so a mean is known to half of that; the variance, of about 1, must not
/// suffer: it is a sum over some thousand pixels like any other. Sums of squares would lose it altogether.
fn check_far_from_zero<T: Real>(case: &Case, reader: &Reader, weights: &[f64], (of_mean, of_variance): (f64, f64)) {
    let name = format!("mean 1000, {case:?}");
    let output = case.conv().output(reader.shape);
    let (y, moments) = run::<T>(&name, case, reader, (weights, &vec![1000.0; case.out]), output);
    let Statistics { mean, variance } = batch_norm::statistics(output, &from_maps(output, &[case.out], &y));
    assert!(mean.iter().zip(&variance).all(|(m, v)| (m - 1000.0).abs() < 20.0 && *v > 0.1 && *v < 10.0));
    assert_within(&name, "mean", &doubles(&moments.mean), &mean, norm(&mean) * of_mean);
    for (c, (got, expected)) in moments.variance.iter().zip(&variance).enumerate() {
        let error = (got.f64() / expected - 1.0).abs();
        assert!(error <= of_variance, "{name}: variance of channel {c} is {got} for {expected}, off by {error:e}");
    }
}

#[test]
fn keep_the_variance_far_from_zero() {
    let mut draw = Draw::new(3, 0);
    for window in &WINDOWS[..2] {
        let case = Case { kind: Kind::Raw, window: *window, extents: (3, 39, 40), widths: vec![9], out: 21 };
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let weights = case.weights(&mut draw);
        on_every_set(|| check_far_from_zero::<f32>(&case, &reader, &weights, (1e-7, 5e-6)));
        check_far_from_zero::<f64>(&case, &reader, &weights, (1e-14, 1e-12));
    }
}

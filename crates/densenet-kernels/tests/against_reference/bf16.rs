//! `direct::forward_bf16`.

use densenet_kernels::Real;
use densenet_kernels::conv::{Algorithm, Epilogue};
use half::bf16;

use crate::block::Reader;
use crate::check::{assert_within, elements, norm, on_every_set, poisoned};
use crate::conv_case::{Case, for_each_case};
use crate::fast_conv::FastConv;
use crate::layout::from_maps;

/// Relative in norm. A factor that is all but in the middle between two bfloat16 may go to the other one; rounding in
/// another way, or not at all, would be ten times that.
const TOLERANCE: f64 = 2e-4;

fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&value| bf16::from_f32(value as f32).to_f64()).collect()
}

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, weights: &[f64], bias: &[f64], expected: &[f64]) {
    let (conv, bias) = (FastConv { shape: case.shape(), algorithm: Algorithm::Bf16 }, elements::<T>(bias));
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
    let output = case.conv().output(case.seen(reader).0);
    let (y, ()) = case.input::<T, _>(reader, |input| {
        poisoned(name, output.len(), |y| conv.forward(input, &elements(weights), &epilogue, y))
    });
    let y = from_maps(output, &[case.out], &y);
    assert_within(name, "output", &y, expected, TOLERANCE * norm(expected));
}

#[test]
fn equals_the_reference_on_rounded_factors() {
    for_each_case(31, 8, |name, draw, case| {
        // Products are of pairs of channels.
        let widths = case.widths.iter().map(|width| width.next_multiple_of(2)).collect();
        let case = &Case { widths, ..case.clone() };
        let reader = Reader::new(draw, case.extents, &case.widths);
        let (shape, seen) = case.seen(&reader);
        let (weights, bias) = (case.weights(draw), draw.values(case.out, 1.0));
        let expected = case.conv().forward(shape, &rounded(&seen), &rounded(&weights), Some(&bias));
        on_every_set(|| check::<f32>(name, case, &reader, &weights, &bias, &expected));
        check::<f64>(name, case, &reader, &weights, &bias, &expected);
    });
}

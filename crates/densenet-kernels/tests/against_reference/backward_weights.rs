//! `direct::backward_weights` and, where it applies, `winograd::backward_weights`.

use densenet_kernels::Real;
use densenet_kernels::direct::{OutputGradient, backward_weights};

use crate::block::Reader;
use crate::check::{assert_close, doubles, on_every_set, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS, for_each_case};
use crate::draw::Draw;
use crate::layout::to_maps;
use crate::uncorrected::UncorrectedOutput;

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, output_of: &UncorrectedOutput, expected: &[f64]) {
    let output = case.conv().output(case.seen(reader).0);
    let dy: Vec<T> = to_maps(output, &[case.out], &output_of.gradient());
    for conv in case.fast() {
        let (dw, ()) = case
            .input::<T, _>(reader, |input| poisoned(name, expected.len(), |dw| conv.backward_weights(input, &dy, dw)));
        assert_close::<T>(name, &format!("weight gradient by {:?}", conv.algorithm), &doubles(&dw), expected);
    }
    let (dw, ()) = case.input::<T, _>(reader, |input| {
        let dy = |dw: &mut [T]| {
            output_of.uncorrected(|dy| backward_weights(input, case.window, &OutputGradient::Uncorrected(*dy), dw));
        };
        poisoned(name, expected.len(), dy)
    });
    assert_close::<T>(name, "weight gradient of what is not corrected", &doubles(&dw), expected);
}

/// Checks a case drawn with `draw`.
fn check_case(name: &str, draw: &mut Draw, case: &Case) {
    let reader = Reader::new(draw, case.extents, &case.widths);
    let (shape, seen) = case.seen(&reader);
    let (weights, output) = (case.weights(draw), case.conv().output(shape));
    let output_of = UncorrectedOutput::new(draw, (output.n, output.h, output.w), case.out);
    let expected = case.conv().backward(shape, &seen, &weights, &output_of.gradient()).dweight;
    on_every_set(|| check::<f32>(name, case, &reader, &output_of, &expected));
    check::<f64>(name, case, &reader, &output_of, &expected);
}

#[test]
fn equals_the_reference() {
    for_each_case(4, 10, check_case);
}

/// So narrow that the cache would hold more rows than a block may have.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn of_tall_and_narrow_pictures_equals_the_reference() {
    for (seed, window) in WINDOWS.into_iter().enumerate() {
        for (kind, widths) in [(Kind::PreActivation, vec![3, 2]), (Kind::Pictures, vec![1])] {
            let case = Case { kind, window, extents: (2, 700, 1), widths, out: 5 };
            check_case(&format!("{case:?}"), &mut Draw::new(13, seed as u64), &case);
        }
    }
}

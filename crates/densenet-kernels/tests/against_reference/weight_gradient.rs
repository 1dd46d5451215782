//! `conv::weight_gradient` and, where it applies, `winograd::weight_gradient`.

use densenet_kernels::conv::{OutputGradient, weight_gradient};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::winograd::{self, Tile};

use crate::behind::Behind;
use crate::block::Reader;
use crate::check::{assert_close, doubles, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS, for_each_case};
use crate::draw::Draw;
use crate::layout::to_maps;

fn check<T: Dispatch>(name: &str, case: &Case, reader: &Reader, behind: &Behind, expected: &[f64]) {
    let output = case.conv().output(case.seen(reader).0);
    let dy: Vec<T> = to_maps(output, &[case.out], &behind.gradient());
    let of = |gradient: &OutputGradient<'_, T>, what: &str| {
        let (dweight, ()) = case.input::<T, _>(reader, |input| {
            poisoned(name, expected.len(), |dweight| weight_gradient(input, case.window, gradient, dweight))
        });
        assert_close::<T>(name, what, &doubles(&dweight), expected);
    };
    of(&OutputGradient::Finished(&dy, case.out), "weight gradient");
    behind.uncorrected(|output| of(&OutputGradient::Uncorrected(*output), "weight gradient of what is not corrected"));
    for tile in [Tile::Two, Tile::Four].into_iter().filter(|_| case.has_tiles()) {
        let (dweight, ()) = case.input::<T, _>(reader, |input| {
            poisoned(name, expected.len(), |dweight| winograd::weight_gradient(input, tile, &dy, dweight))
        });
        assert_close::<T>(name, &format!("weight gradient by {tile:?}"), &doubles(&dweight), expected);
    }
}

/// Checks a case drawn with `draw`.
fn check_case(name: &str, draw: &mut Draw, case: &Case) {
    let reader = Reader::new(draw, case.extents, &case.widths);
    let (shape, seen) = case.seen(&reader);
    let (weights, output) = (case.weights(draw), case.conv().output(shape));
    let behind = Behind::new(draw, (output.n, output.h, output.w), case.out);
    let expected = case.conv().backward(shape, &seen, &weights, &behind.gradient()).dweight;
    check::<f32>(name, case, &reader, &behind, &expected);
    check::<f64>(name, case, &reader, &behind, &expected);
}

#[test]
fn equals_the_reference() {
    for_each_case(4, 10, check_case);
}

/// So narrow that the cache would hold more rows than a band counts.
#[test]
fn of_tall_and_narrow_pictures_equals_the_reference() {
    for (seed, window) in WINDOWS.into_iter().enumerate() {
        for (kind, widths) in [(Kind::PreActivation, vec![3, 2]), (Kind::Pictures, vec![1])] {
            let case = Case { kind, window, extents: (2, 700, 1), widths, out: 5 };
            check_case(&format!("{case:?}"), &mut Draw::new(13, seed as u64), &case);
        }
    }
}

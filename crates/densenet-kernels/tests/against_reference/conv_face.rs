//! `conv`: the same results whichever algorithm it chooses.

use densenet_kernels::batch_norm::{Normalised, Write};
use densenet_kernels::conv::{self, Algorithm, ConvShape, Epilogue, MathMode, OutputGradient};
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::relu;
use densenet_kernels::winograd::TileSize;
use densenet_kernels::{Grid, Real, Window, direct};

use crate::backward_1x1::Bottleneck;
use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, doubles, elements, on_every_set, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;
use crate::layout::{from_maps, to_maps};
use crate::moments::assert_moments;

/// A convolution and its operands, in double precision.
struct Operands<'a> {
    case: &'a Case,
    reader: &'a Reader,
    weights: &'a [f64],
    /// `(N, O, H', W')`.
    dy: &'a [f64],
}

impl Operands<'_> {
    fn check_forward<T: Real>(&self, name: &str) {
        let Self { case, reader, weights, .. } = *self;
        let ((input_shape, seen), shape, weight) = (case.seen(reader), case.shape(), elements::<T>(weights));
        let output = case.conv().output(input_shape);
        let (expected, epilogue) = (case.conv().forward(input_shape, &seen, weights, None), Epilogue::default());
        let packed = conv::pack(shape, &weight, output.h, MathMode::Strict);
        let algorithm = shape.algorithm_in_inference(output.h, MathMode::Strict);
        assert_eq!((packed.shape(), packed.algorithm()), (shape, algorithm), "{name}");
        case.input::<T, _>(reader, |input| {
            let (y, ()) = poisoned(name, output.len(), |y| conv::forward(&packed, input, &epilogue, y));
            assert_close::<T>(name, "output in inference", &from_maps(output, &[case.out], &y), &expected);
            let (y, moments) =
                poisoned(name, output.len(), |y| conv::forward_with_moments(shape, input, &weight, &epilogue, y));
            let in_training = from_maps(output, &[case.out], &y);
            assert_close::<T>(name, "output in training", &in_training, &expected);
            assert_moments(name, output, &in_training, &moments);
            if case.window == Window::POINT {
                let (again, ()) =
                    poisoned(name, output.len(), |y| conv::recompute_1x1(shape, input, &weight, &epilogue, y));
                assert!(again == y, "{name}: a recomputed output differs");
            }
        });
    }

    fn check_backward<T: Real>(&self, name: &str) {
        let Self { case, reader, weights, dy } = *self;
        let ((input_shape, seen), shape, weight) = (case.seen(reader), case.shape(), elements::<T>(weights));
        let gradients = case.conv().backward(input_shape, &seen, weights, dy);
        let dy: Vec<T> = to_maps(case.conv().output(input_shape), &[case.out], dy);
        let finished = OutputGradient::Finished { dy: &dy, channels: case.out };
        let (dw, ()) = case.input::<T, _>(reader, |input| {
            poisoned(name, weights.len(), |dw| conv::backward_weights(shape, input, &finished, dw))
        });
        assert_close::<T>(name, "weights' gradient", &doubles(&dw), &gradients.dweight);
        if !case.has_data_gradient() {
            return;
        }
        let da = match case.kind {
            Kind::Pooled => Pool::HALVE.average_backward(reader.shape, &gradients.dx),
            _ => gradients.dx,
        };
        let (dz, typed) = (relu::backward(&reader.z(), &da), Typed::<T>::new(reader));
        let normalised = Normalised { pooling: case.pooling(), ..typed.normalised() };
        let (dx, sums) = poisoned(name, reader.shape.len(), |dx| {
            conv::backward_data(shape, &dy, &weight, &normalised, Write::Overwrite, dx)
        });
        assert_close::<T>(name, "maps' gradient", &from_maps(reader.shape, &case.widths, &dx), &reader.scaled(&dz));
        assert_sums(name, reader, &dz, &sums);
    }
}

/// Kind, window and extent of what is convolved: every algorithm in inference and in training is among them.
const CASES: [(Kind, Window, usize); 8] = [
    (Kind::PreActivation, WINDOWS[1], 2),
    (Kind::PreActivation, WINDOWS[1], 3),
    (Kind::PreActivation, WINDOWS[1], 7),
    (Kind::PreActivation, WINDOWS[1], 22),
    (Kind::PreActivation, WINDOWS[0], 9),
    (Kind::Pooled, WINDOWS[0], 9),
    (Kind::Raw, WINDOWS[1], 8),
    (Kind::Pictures, WINDOWS[2], 13),
];

#[test]
#[cfg_attr(miri, ignore = "large")]
fn equals_the_reference() {
    for (seed, (kind, window, extent)) in CASES.into_iter().enumerate() {
        let mut draw = Draw::new(21, seed as u64);
        let widths = if kind == Kind::Raw { vec![25] } else { vec![13, 12] };
        let case = &Case { kind, window, extents: (2, extent, extent), widths, out: 40 };
        let reader = &Reader::new(&mut draw, case.extents, &case.widths);
        let weights = &case.weights(&mut draw)[..];
        let dy = &draw.values(case.conv().output(case.seen(reader).0).len(), 1.0)[..];
        let (operands, name) = (Operands { case, reader, weights, dy }, format!("{case:?}"));
        on_every_set(|| {
            operands.check_forward::<f32>(&name);
            operands.check_backward::<f32>(&name);
        });
        operands.check_forward::<f64>(&name);
        operands.check_backward::<f64>(&name);
    }
}

/// Both gradients of a bottleneck, whose weights the face packs, and that of the weights alone.
#[test]
fn gradients_of_an_uncorrected_output_are_those_of_the_direct_sum() {
    let case =
        Case { kind: Kind::PreActivation, window: Window::POINT, extents: (2, 5, 7), widths: vec![13, 12], out: 20 };
    let shape = case.shape();
    let bottleneck = Bottleneck::new(&mut Draw::new(27, 0), case);
    on_every_set(|| {
        bottleneck.operands::<f32, _>(|output, weight, reader| {
            let zeros = || (vec![0.0; bottleneck.elements()], vec![0.0; weight.len()]);
            let ((mut dx, mut dw), (mut expected_dx, mut expected_dw)) = (zeros(), zeros());
            let sums = conv::backward_1x1(output, weight, reader, Write::Overwrite, &mut dx, &mut dw);
            let packed = direct::pack_backward(weight, shape.out_channels, shape.in_channels, 1);
            let (expected_dx, expected_dw) = (&mut expected_dx, &mut expected_dw);
            let expected = direct::backward_1x1(output, &packed, reader, Write::Overwrite, expected_dx, expected_dw);
            assert!(dx == *expected_dx && dw == *expected_dw && sums == expected);
            let input = densenet_kernels::Input::pre_activation(reader.maps, reader.affine);
            conv::backward_weights(shape, &input, &OutputGradient::Uncorrected(*output), &mut dw);
            direct::backward_weights(&input, Window::POINT, &OutputGradient::Uncorrected(*output), expected_dw);
            assert!(dw == *expected_dw);
        });
    });
}

#[test]
fn the_algorithm_goes_by_window_channels_and_extent() {
    let of = |in_channels, window, side| {
        let shape = ConvShape { in_channels, out_channels: 32, window };
        let grid = Grid { images: 8, height: side, width: side };
        (shape.algorithm_in_training(grid), shape.algorithm_in_inference(side, MathMode::Strict))
    };
    let (direct, two, four) =
        (Algorithm::Direct, Algorithm::Winograd(TileSize::Two), Algorithm::Winograd(TileSize::Four));
    let three = WINDOWS[1];
    for (side, expected) in [
        (56, (four, four)),
        (20, (four, four)),
        (19, (four, two)),
        (5, (four, two)),
        (4, (four, direct)),
        (3, (four, direct)),
        (2, (direct, direct)),
    ] {
        assert_eq!(of(128, three, side), expected, "{side} rows");
    }
    assert_eq!(of(16, three, 56), (four, four));
    for (in_channels, window) in [
        (15, three),
        (128, Window::POINT),
        (128, WINDOWS[2]),
        (128, Window { stride: 2, ..three }),
        (128, Window { padding: 0, ..three }),
    ] {
        assert_eq!(of(in_channels, window, 56), (direct, direct), "{in_channels} channels, {window:?}");
    }
    let rounding = |in_channels, window, side| {
        let shape = ConvShape { in_channels, out_channels: 32, window };
        shape.algorithm_in_inference(side, MathMode::Bf16)
    };
    assert_eq!([56, 19, 4].map(|side| rounding(128, three, side)), [four, two, Algorithm::Bf16]);
    assert_eq!([128, 129].map(|channels| rounding(channels, Window::POINT, 56)), [Algorithm::Bf16, direct]);
}

//! `conv`: the same results whichever algorithm it chooses.

use densenet_kernels::batch_norm::{Normalised, Write};
use densenet_kernels::conv::{self, Algorithm, ConvShape, Epilogue, OutputGradient};
use densenet_kernels::reference::{pool, relu};
use densenet_kernels::winograd::TileSize;
use densenet_kernels::{Grid, Real, Window};

use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, doubles, elements, on_every_set, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;
use crate::layout::{from_maps, to_maps};

fn shape(case: &Case) -> ConvShape {
    ConvShape { in_channels: case.channels(), out_channels: case.out, window: case.window }
}

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, weights: &[f64], dy: &[f64]) {
    let ((input_shape, seen), conv_shape) = (case.seen(reader), shape(case));
    let output = case.conv().output(input_shape);
    let expected = case.conv().forward(input_shape, &seen, weights, None);
    let (weight, epilogue) = (elements::<T>(weights), Epilogue::default());
    let packed = conv::pack(conv_shape, &weight, output.h);
    let (y, ()) = case
        .input::<T, _>(reader, |input| poisoned(name, expected.len(), |y| conv::forward(&packed, input, &epilogue, y)));
    assert_close::<T>(name, "output in inference", &from_maps(output, &[case.out], &y), &expected);
    let (y, _) = case.input::<T, _>(reader, |input| {
        poisoned(name, expected.len(), |y| conv::forward_with_moments(conv_shape, input, &weight, &epilogue, y))
    });
    assert_close::<T>(name, "output in training", &from_maps(output, &[case.out], &y), &expected);
    let gradients = case.conv().backward(input_shape, &seen, weights, dy);
    let dy: Vec<T> = to_maps(output, &[case.out], dy);
    let finished = OutputGradient::Finished { dy: &dy, channels: case.out };
    let (dw, ()) = case.input::<T, _>(reader, |input| {
        poisoned(name, weights.len(), |dw| conv::backward_weights(conv_shape, input, &finished, dw))
    });
    assert_close::<T>(name, "weights' gradient", &doubles(&dw), &gradients.dweight);
    let da = match case.kind {
        Kind::Pooled => pool::average_backward(reader.shape, &gradients.dx),
        _ => gradients.dx,
    };
    let dz = relu::backward(&reader.z(), &da);
    let typed = Typed::<T>::new(reader);
    let normalised = Normalised { pooling: case.pooling(), ..typed.normalised() };
    let (dx, sums) = poisoned(name, reader.shape.len(), |dx| {
        conv::backward_data(conv_shape, &dy, &weight, &normalised, Write::Overwrite, dx)
    });
    assert_close::<T>(name, "maps' gradient", &from_maps(reader.shape, &case.widths, &dx), &reader.scaled(&dz));
    assert_sums(name, reader, &dz, &sums);
}

#[test]
fn equals_the_reference() {
    for (seed, (kind, window, side)) in
        [(Kind::PreActivation, 1, 3), (Kind::PreActivation, 1, 7), (Kind::PreActivation, 1, 22)]
            .into_iter()
            .chain([(Kind::PreActivation, 0, 9), (Kind::Pooled, 0, 9)])
            .enumerate()
    {
        let mut draw = Draw::new(21, seed as u64);
        let case = Case { kind, window: WINDOWS[window], extents: (2, side, side), widths: vec![13, 12], out: 40 };
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let weights = case.weights(&mut draw);
        let dy = draw.values(case.conv().output(case.seen(&reader).0).len(), 1.0);
        let name = format!("{case:?}");
        on_every_set(|| check::<f32>(&name, &case, &reader, &weights, &dy));
        check::<f64>(&name, &case, &reader, &weights, &dy);
    }
}

#[test]
fn the_algorithm_goes_by_window_channels_and_extent() {
    let of = |in_channels, window, side| {
        let shape = ConvShape { in_channels, out_channels: 32, window };
        let grid = Grid { images: 8, height: side, width: side };
        (shape.algorithm_in_training(grid), shape.algorithm_in_inference(side))
    };
    let (two, four) = (Algorithm::Winograd(TileSize::Two), Algorithm::Winograd(TileSize::Four));
    assert_eq!(of(128, WINDOWS[1], 56), (four, four));
    assert_eq!(of(128, WINDOWS[1], 14), (four, two));
    assert_eq!(of(128, WINDOWS[1], 4), (four, Algorithm::Direct));
    assert_eq!(of(128, WINDOWS[1], 2), (Algorithm::Direct, Algorithm::Direct));
    assert_eq!(of(3, WINDOWS[1], 56), (Algorithm::Direct, Algorithm::Direct));
    assert_eq!(of(128, Window::POINT, 56), (Algorithm::Direct, Algorithm::Direct));
    assert_eq!(of(3, WINDOWS[2], 224), (Algorithm::Direct, Algorithm::Direct));
}

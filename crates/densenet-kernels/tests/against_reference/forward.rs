//! `direct::forward` and, where it applies, `winograd::forward`.

use densenet_kernels::conv::Epilogue;
use densenet_kernels::direct::{forward, pack_forward};
use densenet_kernels::random::Stream;
use densenet_kernels::reference::dropout::dropout;
use densenet_kernels::reference::relu;
use densenet_kernels::winograd::{self, Filters, TileSize};
use densenet_kernels::{Dropout, Real};

use crate::block::Reader;
use crate::check::{assert_close, elements, on_every_set, poisoned};
use crate::conv_case::{Case, for_each_case};
use crate::draw::Draw;
use crate::layout::from_maps;

/// What follows the sums.
struct End {
    bias: Option<Vec<f64>>,
    relu: bool,
    dropout: Option<Dropout>,
}

impl End {
    fn new(draw: &mut Draw, out: usize) -> Self {
        let stream = Stream::new(draw.between(0, 1000) as u64, 3);
        Self {
            bias: draw.coin().then(|| draw.values(out, 1.0)),
            relu: draw.coin(),
            dropout: draw.coin().then_some(Dropout { stream, rate: 0.3 }),
        }
    }

    fn describe(&self) -> String {
        format!("bias {}, relu {}, dropout {}", self.bias.is_some(), self.relu, self.dropout.is_some())
    }
}

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, weights: &[f64], end: &End, expected: &[f64]) {
    let packed = pack_forward::<T>(&elements(weights), case.out, case.channels(), case.window.kernel);
    let bias: Option<Vec<T>> = end.bias.as_ref().map(|bias| elements(bias));
    let epilogue = Epilogue { bias: bias.as_deref(), relu: end.relu, dropout: end.dropout, ..Epilogue::default() };
    let output = case.conv().output(case.seen(reader).0);
    let (y, ()) = case.input::<T, _>(reader, |input| {
        poisoned(name, output.len(), |y| forward(input, case.window, &packed, &epilogue, y))
    });
    assert_close::<T>(name, "output", &from_maps(output, &[case.out], &y), expected);
    if !case.has_tiles() {
        return;
    }
    for tile in [TileSize::Two, TileSize::Four] {
        let filters = Filters::<T>::new(tile, &elements(weights), case.out, case.channels());
        let (y, ()) = case.input::<T, _>(reader, |input| {
            poisoned(name, output.len(), |y| winograd::forward(input, &filters, &epilogue, y))
        });
        assert_close::<T>(name, &format!("output by {tile:?}"), &from_maps(output, &[case.out], &y), expected);
    }
}

#[test]
fn equals_the_reference() {
    for_each_case(1, 12, |name, draw, case| {
        let reader = Reader::new(draw, case.extents, &case.widths);
        let (weights, end) = (case.weights(draw), End::new(draw, case.out));
        let (shape, seen) = case.seen(&reader);
        let mut expected = case.conv().forward(shape, &seen, &weights, end.bias.as_deref());
        if end.relu {
            expected = relu::forward(&expected);
        }
        if let Some(Dropout { stream, rate }) = end.dropout {
            expected = dropout(&expected, stream, rate);
        }
        let name = format!("{name}, {}", end.describe());
        on_every_set(|| check::<f32>(&name, case, &reader, &weights, &end, &expected));
        check::<f64>(&name, case, &reader, &weights, &end, &expected);
    });
}

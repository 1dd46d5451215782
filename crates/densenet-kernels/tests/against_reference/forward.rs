//! `direct::forward` and, where it applies, `winograd::forward`.

use densenet_kernels::conv::Epilogue;
use densenet_kernels::random::Stream;
use densenet_kernels::reference::dropout::dropout;
use densenet_kernels::reference::{Shape4, relu};
use densenet_kernels::{Dropout, Real};

use crate::block::Reader;
use crate::check::{assert_close, elements, on_every_set, poisoned};
use crate::conv_case::{Case, for_each_case};
use crate::draw::Draw;
use crate::layout::{from_maps, to_maps};

/// What follows the sums.
struct End {
    bias: Option<Vec<f64>>,
    relu: bool,
    dropout: Option<Dropout>,
    /// `(N, C, H, W)`.
    skip: Option<Vec<f64>>,
}

impl End {
    /// A random end of an output of `shape`.
    fn new(draw: &mut Draw, shape: Shape4) -> Self {
        let stream = Stream::new(draw.between(0, 1000) as u64, 3);
        Self {
            bias: draw.coin().then(|| draw.values(shape.c, 1.0)),
            relu: draw.coin(),
            dropout: draw.coin().then_some(Dropout { stream, rate: 0.3 }),
            skip: draw.coin().then(|| draw.values(shape.len(), 1.0)),
        }
    }

    /// What comes of `sums`, which hold the bias, by the references.
    fn follow(&self, sums: Vec<f64>) -> Vec<f64> {
        let rectified = if self.relu { relu::forward(&sums) } else { sums };
        let dropped = match self.dropout {
            Some(Dropout { stream, rate }) => dropout(&rectified, stream, rate),
            None => rectified,
        };
        match &self.skip {
            Some(skip) => dropped.iter().zip(skip).map(|(value, skip)| value + skip).collect(),
            None => dropped,
        }
    }

    fn describe(&self) -> String {
        let Self { bias, relu, dropout, skip } = self;
        format!("bias {}, relu {relu}, dropout {}, skip {}", bias.is_some(), dropout.is_some(), skip.is_some())
    }
}

fn check<T: Real>(name: &str, case: &Case, reader: &Reader, weights: &[f64], end: &End, expected: &[f64]) {
    let output = case.conv().output(case.seen(reader).0);
    let bias: Option<Vec<T>> = end.bias.as_ref().map(|bias| elements(bias));
    let skip: Option<Vec<T>> = end.skip.as_ref().map(|skip| to_maps(output, &[case.out], skip));
    let epilogue = Epilogue { bias: bias.as_deref(), relu: end.relu, dropout: end.dropout, skip: skip.as_deref() };
    for conv in case.fast() {
        let (y, ()) = case.input::<T, _>(reader, |input| {
            poisoned(name, output.len(), |y| conv.forward(input, &elements(weights), &epilogue, y))
        });
        let what = format!("output by {:?}", conv.algorithm);
        assert_close::<T>(name, &what, &from_maps(output, &[case.out], &y), expected);
    }
}

#[test]
fn equals_the_reference() {
    for_each_case(1, 12, |name, draw, case| {
        let reader = Reader::new(draw, case.extents, &case.widths);
        let (shape, seen) = case.seen(&reader);
        let (weights, end) = (case.weights(draw), End::new(draw, case.conv().output(shape)));
        let expected = end.follow(case.conv().forward(shape, &seen, &weights, end.bias.as_deref()));
        let name = format!("{name}, {}", end.describe());
        on_every_set(|| check::<f32>(&name, case, &reader, &weights, &end, &expected));
        check::<f64>(&name, case, &reader, &weights, &end, &expected);
    });
}

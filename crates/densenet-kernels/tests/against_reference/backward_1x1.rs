//! `direct::backward_1x1`.

use densenet_kernels::batch_norm::{NormGradient, Normalised, Uncorrected, Write};
use densenet_kernels::direct::{backward_1x1, pack_backward};
use densenet_kernels::reference::relu;
use densenet_kernels::{Real, Window};

use crate::backward_data::assert_sums;
use crate::block::{Reader, Typed};
use crate::check::{assert_close, doubles, elements, guarded, on_every_set, poisoned};
use crate::conv_case::{Case, Kind};
use crate::draw::{Draw, cases};
use crate::layout::{from_maps, to_maps};
use crate::not_a_number::assert_passes;
use crate::uncorrected::UncorrectedOutput;

/// A bottleneck that reads some maps, and the batch-norm that reads it.
pub struct Bottleneck {
    case: Case,
    reader: Reader,
    weights: Vec<f64>,
    output: UncorrectedOutput,
}

/// What is made: the gradient of the maps, the batch-norm's, the weights'.
type Gradients<T> = (Vec<T>, NormGradient<T>, Vec<T>);

impl Bottleneck {
    pub fn new(draw: &mut Draw, case: Case) -> Self {
        let (reader, weights) = (Reader::new(draw, case.extents, &case.widths), case.weights(draw));
        let output = UncorrectedOutput::new(draw, case.extents, case.out);
        Self { case, reader, weights, output }
    }

    /// Calls `with` with the output's gradient, the weights and the batch-norm of the maps.
    pub fn operands<T: Real, R>(&self, with: impl FnOnce(&Uncorrected<'_, T>, &[T], &Normalised<'_, T>) -> R) -> R {
        let typed = Typed::new(&self.reader);
        self.output.uncorrected(|output| with(output, &elements(&self.weights), &typed.normalised()))
    }

    /// Elements of the maps.
    pub fn elements(&self) -> usize {
        self.reader.shape.len()
    }

    /// The fast backward pass onto a gradient that held `before`.
    pub fn run<T: Real>(&self, name: &str, write: Write, before: Vec<T>) -> Gradients<T> {
        self.run_to(&self.reader, name, write, before)
    }

    /// [`Self::run`] to the maps of `reader`.
    fn run_to<T: Real>(&self, reader: &Reader, name: &str, write: Write, before: Vec<T>) -> Gradients<T> {
        let Self { case, weights, output, .. } = self;
        let typed = Typed::new(reader);
        let packed = pack_backward::<T>(&elements(weights), case.out, case.channels(), 1);
        let (dx, (dw, sums)) = guarded(name, before, |dx| {
            poisoned(name, weights.len(), |dw| {
                output.uncorrected(|output| backward_1x1(output, &packed, &typed.normalised(), write, dx, dw))
            })
        });
        (dx, sums, dw)
    }

    fn check<T: Real>(&self, name: &str, before: &[f64]) {
        let Self { case, reader, weights, output, .. } = self;
        let (shape, seen) = case.seen(reader);
        let dy = output.gradient();
        let expected = case.conv().backward(shape, &seen, weights, &dy);
        let dz = relu::backward(&reader.z(), &expected.dx);
        let scaled = reader.scaled(&dz);
        for (write, before) in [(Write::Overwrite, None), (Write::Accumulate, Some(before))] {
            let there = before.map_or(vec![T::nan(); shape.len()], |before| to_maps(shape, &case.widths, before));
            let (gradient, sums, dweight) = self.run::<T>(name, write, there);
            let zeros = vec![0.0; shape.len()];
            let total: Vec<f64> = scaled.iter().zip(before.unwrap_or(&zeros)).map(|(a, b)| a + b).collect();
            assert_close::<T>(name, "gradient", &from_maps(shape, &case.widths, &gradient), &total);
            assert_sums(name, reader, &dz, &sums);
            assert_close::<T>(name, "weight gradient", &doubles(&dweight), &expected.dweight);
        }
    }
}

#[test]
fn equal_the_reference() {
    for seed in cases(40) {
        let mut draw = Draw::new(14, seed);
        let case = Case::new(&mut draw, Kind::PreActivation, Window::POINT);
        let name = format!("seed {seed}, {case:?}");
        let bottleneck = Bottleneck::new(&mut draw, case);
        let before = draw.values(bottleneck.elements(), 1.0);
        on_every_set(|| bottleneck.check::<f32>(&name, &before));
        bottleneck.check::<f64>(&name, &before);
    }
}

/// So many channels that they are worked on in several groups, of maps that end anywhere.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn of_many_channels_equal_the_reference() {
    for (seed, widths) in [vec![64, 32, 32, 32, 32, 32, 48, 16], vec![100, 12, 12, 190, 7]].into_iter().enumerate() {
        let mut draw = Draw::new(15, seed as u64);
        let case = Case { kind: Kind::PreActivation, window: Window::POINT, extents: (2, 13, 11), widths, out: 40 };
        let name = format!("{case:?}");
        let bottleneck = Bottleneck::new(&mut draw, case);
        let before = draw.values(bottleneck.elements(), 1.0);
        on_every_set(|| bottleneck.check::<f32>(&name, &before));
        bottleneck.check::<f64>(&name, &before);
    }
}

#[test]
fn a_pre_activation_that_is_no_number_passes_its_gradient() {
    let mut draw = Draw::new(24, 0);
    let case =
        Case { kind: Kind::PreActivation, window: Window::POINT, extents: (2, 8, 6), widths: vec![20, 7], out: 5 };
    let bottleneck = Bottleneck::new(&mut draw, case);
    let Bottleneck { case, reader, weights, output } = &bottleneck;
    let (shape, seen) = case.seen(reader);
    let da = case.conv().backward(shape, &seen, weights, &output.gradient()).dx;
    on_every_set(|| {
        assert_passes("bottleneck", reader, &da, |reader| {
            let (dx, sums, _) =
                bottleneck.run_to(reader, "bottleneck", Write::Overwrite, vec![f32::NAN; reader.shape.len()]);
            (dx, sums)
        });
    });
}

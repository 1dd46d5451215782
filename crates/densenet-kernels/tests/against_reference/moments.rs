//! `direct::forward_with_moments` and, where it applies, `winograd::forward_with_moments`; `direct::recompute`.

use densenet_kernels::Real;
use densenet_kernels::batch_norm::Moments;
use densenet_kernels::conv::{Algorithm, Epilogue};
use densenet_kernels::direct::{pack_forward, recompute};
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::batch_norm::{self, Statistics};

use crate::block::Reader;
use crate::check::{assert_close, assert_within, doubles, elements, norm, on_every_set, poisoned};
use crate::conv_case::{Case, Kind, WINDOWS, for_each_case};
use crate::draw::Draw;
use crate::fast_conv::FastConv;
use crate::layout::from_maps;

/// Checks `moments` of `output` `(N, C, H, W)`.
pub fn assert_moments<T: Real>(name: &str, shape: Shape4, output: &[f64], moments: &Moments<T>) {
    let Statistics { mean, variance } = batch_norm::statistics(shape, output);
    assert_close::<T>(name, "mean", &doubles(&moments.mean), &mean);
    assert_close::<T>(name, "variance", &doubles(&moments.variance), &variance);
}

/// What a convolution reads, its weights and bias.
struct Operands<'a> {
    case: &'a Case,
    reader: &'a Reader,
    weights: &'a [f64],
    bias: &'a [f64],
}

impl Operands<'_> {
    /// Extents of the output.
    fn output(&self) -> Shape4 {
        self.case.conv().output(self.case.seen(self.reader).0)
    }

    /// Output `(N, C, H, W)` and moments by `conv`.
    fn run<T: Real>(&self, name: &str, conv: FastConv) -> (Vec<f64>, Moments<T>) {
        let (output, weights, bias) = (self.output(), elements::<T>(self.weights), elements::<T>(self.bias));
        let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
        let (y, moments) = self.case.input::<T, _>(self.reader, |input| {
            let (plain, ()) = poisoned(name, output.len(), |y| conv.forward(input, &weights, &epilogue, y));
            let with_moments = |y: &mut [T]| conv.forward_with_moments(input, &weights, &epilogue, y);
            let (y, moments) = poisoned(name, output.len(), with_moments);
            assert!(y == plain, "{name}: the output depends on whether moments are taken");
            if conv.algorithm == Algorithm::Direct {
                let (window, channels) = (self.case.window, self.case.channels());
                let packed = pack_forward(&weights, self.case.out, channels, window.kernel);
                let (again, ()) = poisoned(name, output.len(), |y| recompute(input, window, &packed, &epilogue, y));
                assert!(y == again, "{name}: a recomputed output differs");
            }
            (y, moments)
        });
        (from_maps(output, &[self.case.out], &y), moments)
    }

    fn check<T: Real>(&self, name: &str) {
        for conv in self.case.fast() {
            let name = format!("{name}, {:?}", conv.algorithm);
            let (y, moments) = self.run::<T>(&name, conv);
            assert_moments(&name, self.output(), &y, &moments);
        }
    }

    /// Values near 1000 have an `f32` step of 6e-5, so a mean is known to half of that; the variance, of about 1, must not
    /// suffer: it is a sum over some thousand pixels like any other. Sums of squares would lose it altogether.
    fn check_far_from_zero<T: Real>(&self, (of_mean, of_variance): (f64, f64)) {
        for conv in self.case.fast() {
            let name = format!("mean 1000, {:?}, {:?}", self.case, conv.algorithm);
            let (y, moments) = self.run::<T>(&name, conv);
            let Statistics { mean, variance } = batch_norm::statistics(self.output(), &y);
            assert!(mean.iter().zip(&variance).all(|(m, v)| (m - 1000.0).abs() < 20.0 && *v > 0.1 && *v < 10.0));
            assert_within(&name, "mean", &doubles(&moments.mean), &mean, norm(&mean) * of_mean);
            for (c, (got, expected)) in moments.variance.iter().zip(&variance).enumerate() {
                let error = (got.f64() / expected - 1.0).abs();
                assert!(
                    error <= of_variance,
                    "{name}: variance of channel {c} is {got} for {expected}, off by {error:e}"
                );
            }
        }
    }
}

#[test]
fn are_the_moments_of_the_output() {
    for_each_case(2, 8, |name, draw, case| {
        let reader = &Reader::new(draw, case.extents, &case.widths);
        let (weights, bias) = (&case.weights(draw)[..], &draw.values(case.out, 1.0)[..]);
        let operands = Operands { case, reader, weights, bias };
        on_every_set(|| operands.check::<f32>(name));
        operands.check::<f64>(name);
    });
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn keep_the_variance_far_from_zero() {
    let mut draw = Draw::new(3, 0);
    for window in &WINDOWS[..2] {
        let case = &Case { kind: Kind::Raw, window: *window, extents: (3, 39, 40), widths: vec![9], out: 21 };
        let reader = &Reader::new(&mut draw, case.extents, &case.widths);
        let (weights, bias) = (&case.weights(&mut draw)[..], &[1000.0; 21]);
        let operands = Operands { case, reader, weights, bias };
        on_every_set(|| operands.check_far_from_zero::<f32>((1e-7, 5e-6)));
        operands.check_far_from_zero::<f64>((1e-14, 1e-12));
    }
}

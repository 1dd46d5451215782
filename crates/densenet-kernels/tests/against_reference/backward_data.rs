//! `direct::backward_data` and, where it applies, `winograd::backward_data`, alone and with `batch_norm::finish` after several
//! readers.

use densenet_kernels::batch_norm::{Correction, NormGradient, Normalised, Write, finish, inv_std};
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::relu;
use densenet_kernels::{FeatureMap, Real};

use crate::block::{Block, Reader, Typed, per_channel};
use crate::check::{assert_close, assert_within, doubles, elements, guarded, norm, on_every_set, tolerance};
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::{Draw, cases};
use crate::fast_conv::FastConv;
use crate::layout::{from_maps, to_maps};
use crate::not_a_number::assert_passes;

/// A convolution that reads some maps, and its backward pass by the references.
struct Convolution {
    case: Case,
    reader: Reader,
    weights: Vec<f64>,
    /// Gradient of its output, `(N, O, H', W')`.
    dy: Vec<f64>,
    /// Gradient after the ReLU, `(N, C, H, W)`.
    da: Vec<f64>,
    /// Gradient after batch-norm, `(N, C, H, W)`: what the ReLU passes of `da`.
    dz: Vec<f64>,
}

impl Convolution {
    fn new(draw: &mut Draw, case: Case, reader: Reader) -> Self {
        let weights = case.weights(draw);
        let (shape, seen) = case.seen(&reader);
        let dy = draw.values(case.conv().output(shape).len(), 1.0);
        let mut da = case.conv().backward(shape, &seen, &weights, &dy).dx;
        if case.kind == Kind::Pooled {
            da = Pool::HALVE.average_backward(reader.shape, &da);
        }
        let dz = relu::backward(&reader.z(), &da);
        Self { case, reader, weights, dy, da, dz }
    }

    /// The fast backward pass to the maps of `reader`: a gradient that held `before`, and the batch-norm's.
    fn run<T: Real>(
        &self,
        name: &str,
        conv: FastConv,
        reader: &Reader,
        write: Write,
        before: Vec<T>,
    ) -> (Vec<T>, NormGradient<T>) {
        let (case, typed) = (&self.case, Typed::new(reader));
        let dy: Vec<T> = to_maps(case.conv().output(case.seen(reader).0), &[case.out], &self.dy);
        let normalised = Normalised { pooling: case.pooling(), ..typed.normalised() };
        guarded(name, before, |dx| conv.backward_data(&dy, &elements(&self.weights), &normalised, write, dx))
    }
}

/// Checks a reader's sums against the textbook's.
pub fn assert_sums<T: Real>(name: &str, reader: &Reader, dz: &[f64], sums: &NormGradient<T>) {
    let expected = reader.backward(dz);
    assert_close::<T>(name, "gradient of gamma", &doubles(&sums.gamma), &expected.dgamma);
    assert_close::<T>(name, "gradient of beta", &doubles(&sums.beta), &expected.dbeta);
}

/// Checks `r` as the first reader and as one after others, whose gradient is `before`.
fn check_one<T: Real>(name: &str, r: &Convolution, before: &[f64]) {
    let (shape, widths) = (r.reader.shape, &r.case.widths);
    let scaled = r.reader.scaled(&r.dz);
    let total: Vec<f64> = scaled.iter().zip(before).map(|(a, b)| a + b).collect();
    for conv in r.case.fast() {
        let name = &format!("{name}, {:?}", conv.algorithm);
        let (set, sums) = r.run::<T>(name, conv, &r.reader, Write::Overwrite, vec![T::nan(); shape.len()]);
        assert_close::<T>(name, "gradient set", &from_maps(shape, widths, &set), &scaled);
        assert_sums(name, &r.reader, &r.dz, &sums);
        let (added, sums) = r.run::<T>(name, conv, &r.reader, Write::Accumulate, to_maps(shape, widths, before));
        assert_close::<T>(name, "gradient added", &from_maps(shape, widths, &added), &total);
        assert_sums(name, &r.reader, &r.dz, &sums);
    }
}

/// Kinds and windows whose data gradient a network needs.
const NEEDED: [(Kind, usize); 4] =
    [(Kind::PreActivation, 0), (Kind::PreActivation, 1), (Kind::Pooled, 0), (Kind::Pooled, 1)];

#[test]
fn equals_the_reference() {
    for seed in cases(80) {
        let mut draw = Draw::new(5, seed);
        let (kind, window) = NEEDED[seed as usize % NEEDED.len()];
        let case = Case::new(&mut draw, kind, WINDOWS[window]);
        let name = format!("seed {seed}, {case:?}");
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let convolution = Convolution::new(&mut draw, case, reader);
        let before = draw.values(convolution.dz.len(), 1.0);
        on_every_set(|| check_one::<f32>(&name, &convolution, &before));
        check_one::<f64>(&name, &convolution, &before);
    }
}

/// Adds `values`, of the first channels, to `total` of `(N, C, H, W)`.
fn add(total: &mut [f64], values: &[f64], images: usize) {
    let (all, some) = (total.len() / images, values.len() / images);
    for (total, values) in total.chunks_exact_mut(all).zip(values.chunks_exact(some)) {
        total.iter_mut().zip(values).for_each(|(total, value)| *total += value);
    }
}

/// The gradient of a block's maps after all readers, visited from the one that reads most to the one that reads least.
fn run_all<T: Real>(name: &str, block: &Block, readers: &[Convolution]) -> Vec<T> {
    let (pixels, channels) = (block.shape.n * block.shape.plane(), block.shape.c);
    let mut gradient = vec![T::nan(); block.shape.len()];
    let (mut s0, mut s1) = (vec![T::zero(); channels], vec![T::zero(); channels]);
    for (i, r) in readers.iter().enumerate() {
        let (len, write) = (r.reader.shape.len(), if i == 0 { Write::Overwrite } else { Write::Accumulate });
        let conv = r.case.fast().last().expect("the direct sum at least");
        let (after, sums) = r.run(name, conv, &r.reader, write, gradient[..len].to_vec());
        gradient[..len].copy_from_slice(&after);
        for (c, &gamma) in r.reader.gamma.iter().enumerate() {
            s0[c] += T::of(gamma) * sums.beta[c];
            s1[c] += T::of(gamma) * sums.gamma[c];
        }
    }
    let typed = Typed::<T>::new(&block.reader(&mut Draw::new(0, 0), block.widths.len()));
    for FeatureMap { first, channels, data: map } in typed.maps().iter() {
        let (own, part) = (first..first + channels, pixels * first..pixels * (first + channels));
        let correction = Correction {
            mean: &typed.mean[own.clone()],
            inv_std: &typed.inv_std[own.clone()],
            s0: &s0[own.clone()],
            s1: &s1[own],
        };
        let (done, ()) = guarded(name, gradient[part.clone()].to_vec(), |gradient| finish(gradient, map, &correction));
        gradient[part].copy_from_slice(&done);
    }
    gradient
}

/// Few pixels cancel: with one, nothing is left of the gradient. So errors are relative to what is corrected.
fn check_all<T: Real>(name: &str, block: &Block, readers: &[Convolution], expected: &[f64], uncorrected: f64) {
    let got = from_maps(block.shape, &block.widths, &run_all::<T>(name, block, readers));
    assert_within(name, "finished gradient", &got, expected, uncorrected * tolerance::<T>());
}

#[test]
fn several_readers_with_one_correction_equal_the_textbook() {
    for seed in cases(30) {
        let mut draw = Draw::new(6, seed);
        let model = Case::new(&mut draw, Kind::Pooled, WINDOWS[1]);
        let block = Block::new(&mut draw, model.extents, &model.widths);
        let mut reads: Vec<usize> = (0..3).map(|_| draw.between(1, block.widths.len())).collect();
        reads.push(block.widths.len());
        reads.sort_by(|a, b| b.cmp(a));
        let readers: Vec<Convolution> = reads
            .iter()
            .map(|&maps| {
                let (kind, window) = NEEDED[draw.between(0, NEEDED.len() - 1)];
                let case =
                    Case { kind, window: WINDOWS[window], widths: block.widths[..maps].to_vec(), ..model.clone() };
                let reader = block.reader(&mut draw, maps);
                Convolution::new(&mut draw, case, reader)
            })
            .collect();
        let (mut expected, mut uncorrected) = (vec![0.0; block.shape.len()], vec![0.0; block.shape.len()]);
        for Convolution { reader, dz, .. } in &readers {
            add(&mut expected, &reader.backward(dz).dx, block.shape.n);
            add(&mut uncorrected, &reader.scaled(dz), block.shape.n);
        }
        let inverse = inv_std(&block.statistics.variance);
        let uncorrected = norm(&per_channel(block.shape, &uncorrected, |value, c| value * inverse[c]));
        let name = format!("seed {seed}, {:?} read by {reads:?}, {model:?}", block.widths);
        on_every_set(|| check_all::<f32>(&name, &block, &readers, &expected, uncorrected));
        check_all::<f64>(&name, &block, &readers, &expected, uncorrected);
    }
}

#[test]
fn a_pre_activation_that_is_no_number_passes_its_gradient() {
    for (seed, (kind, window)) in NEEDED.into_iter().enumerate() {
        let mut draw = Draw::new(18, seed as u64);
        let case = Case { kind, window: WINDOWS[window], extents: (2, 8, 6), widths: vec![20, 7], out: 5 };
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let r = Convolution::new(&mut draw, case, reader);
        for conv in r.case.fast() {
            let name = format!("{:?}, {:?}", r.case, conv.algorithm);
            on_every_set(|| {
                assert_passes(&name, &r.reader, &r.da, |reader| {
                    r.run(&name, conv, reader, Write::Overwrite, vec![f32::NAN; reader.shape.len()])
                });
            });
        }
    }
}

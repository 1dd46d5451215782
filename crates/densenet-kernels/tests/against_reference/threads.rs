//! The same bits on any number of threads.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use densenet_kernels::batch_norm::{Correction, Normalised, Write, finish};
use densenet_kernels::conv::Epilogue;
use densenet_kernels::direct::backward_bias;
use densenet_kernels::reference::Shape4;
use densenet_kernels::simd::Isa;
use densenet_kernels::{Real, head, stem};
use rayon::ThreadPool;

use crate::backward_1x1::Bottleneck;
use crate::backward_pictures::PictureCase;
use crate::block::{Reader, Typed};
use crate::check::elements;
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;
use crate::fast_conv::FastConv;
use crate::layout::to_maps;

/// What a value is, and the value.
type Made<T> = (&'static str, Vec<T>);

/// Everything that the passes of a convolution make.
fn convolution<T: Real>(conv: FastConv, case: &Case, reader: &Reader, weights: &[f64], dy: &[f64]) -> Vec<Made<T>> {
    let (weights, typed, output) =
        (elements::<T>(weights), Typed::<T>::new(reader), case.conv().output(case.seen(reader).0));
    let dy: Vec<T> = to_maps(output, &[case.out], dy);
    let (mut y, mut inferred) = (vec![T::nan(); output.len()], vec![T::nan(); output.len()]);
    let (mut dweight, mut dx) = (vec![T::nan(); weights.len()], vec![T::nan(); reader.shape.len()]);
    let moments = case.input::<T, _>(reader, |input| {
        conv.backward_weights(input, &dy, &mut dweight);
        conv.forward(input, &weights, &Epilogue::default(), &mut inferred);
        conv.forward_with_moments(input, &weights, &Epilogue::default(), &mut y)
    });
    let normalised = Normalised { pooling: case.pooling(), ..typed.normalised() };
    let sums = conv.backward_data(&dy, &weights, &normalised, Write::Overwrite, &mut dx);
    vec![
        ("output", y),
        ("output of inference", inferred),
        ("mean", moments.mean),
        ("variance", moments.variance),
        ("weight gradient", dweight),
        ("data gradient", dx),
        ("gradient of gamma", sums.gamma),
        ("gradient of beta", sums.beta),
        ("gradient of the bias", backward_bias(&dy, case.out)),
    ]
}

/// Everything that a bottleneck's backward pass makes.
fn bottleneck_gradients<T: Real>(bottleneck: &Bottleneck) -> Vec<Made<T>> {
    let before = vec![T::nan(); bottleneck.elements()];
    let (dx, sums, dw) = bottleneck.run("on some threads", Write::Overwrite, before);
    vec![
        ("data gradient", dx),
        ("gradient of gamma", sums.gamma),
        ("gradient of beta", sums.beta),
        ("weight gradient", dw),
    ]
}

/// Everything that stem, head and correction make of one map.
fn pooling<T: Real>(reader: &Reader, stem: stem::Pool, head: head::Pool) -> Vec<Made<T>> {
    let typed = Typed::<T>::new(reader);
    let (maps, affine, channels) = (typed.maps(), typed.affine(), reader.shape.c);
    let mut y = vec![T::nan(); stem.window().output(maps.grid()).pixels() * channels];
    let moments = stem::forward_with_moments(&maps, affine, stem, &mut y);
    let mut dx = vec![T::nan(); reader.shape.len()];
    let sums = stem::backward(&typed.normalised(), stem, &y, &mut dx);
    let (mean, inv_std, s0, s1) = (&typed.mean, &typed.inv_std, &sums.beta, &sums.gamma);
    finish(&mut dx, &typed.data, &Correction { mean, inv_std, s0, s1 });
    let mut features = vec![T::nan(); reader.shape.n * channels];
    head::forward(&maps, affine, true, head, &mut features);
    let mut dhead = vec![T::nan(); reader.shape.len()];
    let head_sums = head::backward(&typed.normalised(), true, head, &features, &mut dhead);
    vec![
        ("stem", y),
        ("mean", moments.mean),
        ("variance", moments.variance),
        ("finished gradient", dx),
        ("gradient of gamma", sums.gamma),
        ("features", features),
        ("head gradient", dhead),
        ("head's gradient of gamma", head_sums.gamma),
    ]
}

/// Threads that results are compared on; the first is alone.
const THREADS: [usize; 4] = [1, 2, 3, 16];

/// Pools of those threads for every instruction set that the processor has.
static POOLS: LazyLock<BTreeMap<&str, Vec<ThreadPool>>> = LazyLock::new(|| {
    let pools = |isa: Isa| THREADS.map(|threads| isa.thread_pool(threads).expect("a few threads")).into();
    Isa::available().map(|isa| (isa.name(), pools(isa))).collect()
});

/// Checks that `run` makes the same bits on any number of threads, on every instruction set.
fn assert_same<T: Real>(name: &str, run: impl Fn() -> Vec<Made<T>> + Sync) {
    // Double precision runs on the portable set alone.
    for (isa, pools) in POOLS.iter().filter(|(isa, _)| size_of::<T>() == 4 || **isa == Isa::Portable.name()) {
        let bits = |pool: &ThreadPool| {
            let of = |values: Vec<T>| values.iter().map(|value| value.f64().to_bits()).collect::<Vec<_>>();
            pool.install(&run).into_iter().map(|(what, values)| (what, of(values))).collect::<Vec<_>>()
        };
        let alone = bits(&pools[0]);
        for (pool, threads) in pools.iter().zip(THREADS) {
            for ((what, one), (_, several)) in alone.iter().zip(bits(pool)) {
                assert!(*one == several, "{name}, {isa}: {what} differs between 1 and {threads} threads");
            }
        }
    }
}

#[test]
fn convolutions_do_not_depend_on_threads() {
    for (seed, (kind, window)) in
        [(Kind::PreActivation, 0), (Kind::PreActivation, 1), (Kind::Pooled, 0)].into_iter().enumerate()
    {
        let mut draw = Draw::new(11, seed as u64);
        let case = Case { kind, window: WINDOWS[window], extents: (3, 37, 39), widths: vec![40, 12, 33], out: 50 };
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let weights = case.weights(&mut draw);
        let dy = draw.values(case.conv().output(case.seen(&reader).0).len(), 1.0);
        for conv in case.fast() {
            let name = format!("{case:?}, {:?}", conv.algorithm);
            assert_same(&name, || convolution::<f32>(conv, &case, &reader, &weights, &dy));
            assert_same(&name, || convolution::<f64>(conv, &case, &reader, &weights, &dy));
        }
    }
}

/// Maps so small that several threads share a row block by its output channels.
#[test]
fn small_maps_do_not_depend_on_threads() {
    for (seed, (window, out)) in [(0, 128), (1, 32), (1, 100)].into_iter().enumerate() {
        let mut draw = Draw::new(17, seed as u64);
        let (kind, window) = (Kind::PreActivation, WINDOWS[window]);
        let case = Case { kind, window, extents: (1, 7, 7), widths: vec![64, 32, 32, 32], out };
        let reader = Reader::new(&mut draw, case.extents, &case.widths);
        let weights = case.weights(&mut draw);
        let dy = draw.values(case.conv().output(case.seen(&reader).0).len(), 1.0);
        for conv in case.fast() {
            let name = format!("{case:?}, {:?}", conv.algorithm);
            assert_same(&name, || convolution::<f32>(conv, &case, &reader, &weights, &dy));
        }
    }
}

#[test]
fn a_bottleneck_does_not_depend_on_threads() {
    let mut draw = Draw::new(16, 0);
    let case =
        Case { kind: Kind::PreActivation, window: WINDOWS[0], extents: (3, 37, 39), widths: vec![40, 12, 33], out: 50 };
    let bottleneck = Bottleneck::new(&mut draw, case);
    assert_same("f32", || bottleneck_gradients::<f32>(&bottleneck));
    assert_same("f64", || bottleneck_gradients::<f64>(&bottleneck));
}

#[test]
fn stem_and_head_do_not_depend_on_threads() {
    let reader = Reader::new(&mut Draw::new(12, 0), (4, 37, 38), &[40]);
    let averages = stem::Pool::Average(stem::Pool::IMAGENET.window());
    for (stem, head) in [(stem::Pool::IMAGENET, head::Pool::Average), (averages, head::Pool::Max)] {
        assert_same("f32", || pooling::<f32>(&reader, stem, head));
        assert_same("f64", || pooling::<f64>(&reader, stem, head));
    }
}

#[test]
fn the_gradient_of_pictures_does_not_depend_on_threads() {
    let case = PictureCase::new(&mut Draw::new(33, 0), Shape4::new(3, 3, 120, 90), WINDOWS[2], 20);
    assert_same("f32", || vec![("gradient", case.gradient::<f32>("f32"))]);
    assert_same("f64", || vec![("gradient", case.gradient::<f64>("f64"))]);
}

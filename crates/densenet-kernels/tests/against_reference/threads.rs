//! The same bits on any number of threads.

use densenet_kernels::conv::{self, Epilogue, OutputGradient};
use densenet_kernels::isa::Dispatch;
use densenet_kernels::norm::{Correction, Mode, column_sums, finish};
use densenet_kernels::winograd::{self, Filters, Tile};
use densenet_kernels::{head, stem};

use crate::block::{Reader, Typed};
use crate::check::elements;
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;
use crate::layout::to_maps;
use crate::point_gradients::Bottleneck;

/// Everything that the convolution's passes make.
fn convolution<T: Dispatch>(case: &Case, reader: &Reader, weights: &[f64], dy: &[f64]) -> Vec<(&'static str, Vec<T>)> {
    let (weights, typed, kernel) = (elements::<T>(weights), Typed::<T>::new(reader), case.window.kernel);
    let output = case.conv().output(case.seen(reader).0);
    let dy: Vec<T> = to_maps(output, &[case.out], dy);
    let mut y = vec![T::nan(); output.len()];
    let mut dweight = vec![T::nan(); weights.len()];
    let moments = case.input::<T, _>(reader, |input| {
        conv::weight_gradient(input, case.window, &OutputGradient::Finished(&dy, case.out), &mut dweight);
        let panels = conv::forward_panels(&weights, case.out, case.channels(), kernel);
        conv::forward_with_moments(input, case.window, &panels, &Epilogue::default(), &mut y)
    });
    let panels = conv::backward_panels(&weights, case.out, case.channels(), kernel);
    let mut dx = vec![T::nan(); reader.shape.len()];
    let (window, pooled) = (case.window, case.kind == Kind::Pooled);
    let sums = conv::data_gradient(&dy, window, pooled, &panels, &typed.normalised(), (Mode::Set, &mut dx));
    let bias = column_sums(&dy, case.out);
    vec![
        ("output", y),
        ("mean", moments.mean),
        ("variance", moments.variance),
        ("weight gradient", dweight),
        ("data gradient", dx),
        ("gradient of gamma", sums.gamma),
        ("gradient of beta", sums.beta),
        ("gradient of the bias", bias),
    ]
}

/// Everything that a bottleneck's backward pass makes.
fn bottleneck_gradients<T: Dispatch>(bottleneck: &Bottleneck) -> Vec<(&'static str, Vec<T>)> {
    let before = vec![T::nan(); bottleneck.elements()];
    let (gradient, sums, weight_gradient) = bottleneck.run("on some threads", Mode::Set, before);
    vec![
        ("data gradient", gradient),
        ("gradient of gamma", sums.gamma),
        ("gradient of beta", sums.beta),
        ("weight gradient", weight_gradient),
    ]
}

/// Everything that the passes by tiles make.
fn tiles<T: Dispatch>(case: &Case, reader: &Reader, weights: &[f64], dy: &[f64]) -> Vec<(&'static str, Vec<T>)> {
    let (weights, typed) = (elements::<T>(weights), Typed::<T>::new(reader));
    let output = case.conv().output(case.seen(reader).0);
    let dy: Vec<T> = to_maps(output, &[case.out], dy);
    let mut y = vec![T::nan(); output.len()];
    let mut dweight = vec![T::nan(); weights.len()];
    let moments = case.input::<T, _>(reader, |input| {
        winograd::weight_gradient(input, Tile::Four, &dy, &mut dweight);
        let filters = Filters::new(Tile::Four, &weights, case.out, case.channels());
        winograd::forward_with_moments(input, &filters, &Epilogue::default(), &mut y)
    });
    let filters = Filters::turned(Tile::Four, &weights, case.out, case.channels());
    let mut dx = vec![T::nan(); reader.shape.len()];
    let sums = winograd::data_gradient(&dy, &filters, &typed.normalised(), (Mode::Set, &mut dx));
    vec![
        ("output", y),
        ("mean", moments.mean),
        ("variance", moments.variance),
        ("weight gradient", dweight),
        ("data gradient", dx),
        ("gradient of gamma", sums.gamma),
        ("gradient of beta", sums.beta),
    ]
}

/// Everything that stem, head and correction make of one map.
fn pooling<T: Dispatch>(reader: &Reader) -> Vec<(&'static str, Vec<T>)> {
    let typed = Typed::<T>::new(reader);
    let (maps, affine, channels) = (typed.maps(), typed.affine(), reader.shape.c);
    let mut y = vec![T::nan(); stem::POOL.output(maps.grid()).pixels() * channels];
    let moments = stem::forward_with_moments(&maps, affine, stem::POOL, &mut y);
    let mut dx = vec![T::nan(); reader.shape.len()];
    let sums = stem::backward(&typed.normalised(), stem::POOL, &y, &mut dx);
    let (mean, inv_std, s0, s1) = (&typed.mean, &typed.inv_std, &sums.beta, &sums.gamma);
    finish(&mut dx, &typed.data, &Correction { mean, inv_std, s0, s1 });
    let mut features = vec![T::nan(); reader.shape.n * channels];
    head::forward(&maps, affine, true, &mut features);
    let mut dhead = vec![T::nan(); reader.shape.len()];
    let head_sums = head::backward(&typed.normalised(), true, &features, &mut dhead);
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

/// Checks that `run` makes the same bits in pools of one, two, three and five threads.
fn assert_same<T: Dispatch>(name: &str, run: impl Fn() -> Vec<(&'static str, Vec<T>)> + Sync) {
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of a few threads");
        let results = pool.install(&run);
        let of = |values: Vec<T>| values.iter().map(|value| value.f64().to_bits()).collect::<Vec<_>>();
        results.into_iter().map(|(what, values)| (what, of(values))).collect::<Vec<_>>()
    };
    let alone = bits(1);
    for threads in [2, 3, 5] {
        for ((what, one), (_, several)) in alone.iter().zip(bits(threads)) {
            assert!(*one == several, "{name}: {what} differs between 1 and {threads} threads");
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
        assert_same(&format!("f32, {case:?}"), || convolution::<f32>(&case, &reader, &weights, &dy));
        assert_same(&format!("f64, {case:?}"), || convolution::<f64>(&case, &reader, &weights, &dy));
        if case.has_tiles() {
            assert_same(&format!("f32, tiles, {case:?}"), || tiles::<f32>(&case, &reader, &weights, &dy));
            assert_same(&format!("f64, tiles, {case:?}"), || tiles::<f64>(&case, &reader, &weights, &dy));
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
    assert_same("f32", || pooling::<f32>(&reader));
    assert_same("f64", || pooling::<f64>(&reader));
}

//! Maps by their definitions, on tiny networks.

use ndarray::{Array2, Array3, Array4, Axis};

use super::{ActivationMaps, Target, occlusion};
use crate::config::HeadPool;
use crate::network::DenseNet;
use crate::output::Output;
use crate::{Config, Result};

fn config() -> Config {
    let small = Config { growth_rate: 4, block_config: vec![2, 2], num_init_features: 8, num_classes: 3, ..seed() };
    Config { input_size: 16, ..small }
}

fn seed() -> Config {
    Config::preset("densenet-bc-40-12").unwrap()
}

/// A network whose batch-norms do something.
fn network<T: densenet_kernels::Real>(config: &Config) -> DenseNet<T> {
    let initial = DenseNet::<T>::new(config, 7).unwrap();
    let wave = |i: usize| T::of(0.2 * (i as f64).sin());
    let parameters = initial.parameters().iter().enumerate().map(|(i, &value)| value + wave(i)).collect();
    let running = (0..initial.running().len()).map(|i| T::of(0.5) + wave(i)).collect();
    DenseNet::from_arenas(config, parameters, running).unwrap()
}

/// Pictures of 16x16 in which no two values are the same.
fn images<T: densenet_kernels::Real>(count: usize) -> Array4<T> {
    let channels = config().in_channels;
    Array4::from_shape_fn((count, channels, 16, 16), |(n, c, y, x)| {
        T::of(((n * 977 + c * 613 + y * 37 + x * 101) as f64).sin())
    })
}

/// Largest distance of mean and bias from the logit, in shares of the largest logit, over pictures and targets.
fn distance<T: densenet_kernels::Real>(config: &Config) -> f64 {
    let network = network::<T>(config);
    let maps = ActivationMaps::new(&network, images(3).view()).unwrap();
    assert_eq!(*maps.logits(), network.logits(images(3).view()).unwrap());
    let largest = maps.logits().iter().fold(0.0f64, |largest, logit| largest.max(logit.f64().abs()));
    let targets = (0..3).map(Target::class).chain([Target::class(2).against(0)]);
    let of = |(target, image): (Target, usize)| {
        let map = maps.map(image, target).unwrap();
        assert_eq!(map.dim(), (8, 8));
        let mean = map.iter().map(|value| value.f64()).sum::<f64>() / map.len() as f64;
        let logit = target.score(|class| maps.logits()[[image, class]].f64());
        (mean + maps.bias(target).unwrap().f64() - logit).abs() / largest
    };
    targets.flat_map(|target| (0..3).map(move |image| (target, image))).map(of).fold(0.0, f64::max)
}

#[test]
fn mean_and_bias_are_the_logit() {
    let all_pixels = Config { head_pool: HeadPool::None, ..config() };
    let without_relu = Config { final_relu: false, ..config() };
    for config in [config(), all_pixels, without_relu] {
        assert!(distance::<f32>(&config) < 1e-5, "{}: {config:?}", distance::<f32>(&config));
        assert!(distance::<f64>(&config) < 1e-13, "{}: {config:?}", distance::<f64>(&config));
    }
}

#[test]
fn a_contrast_is_a_difference_of_maps() {
    let network = network::<f64>(&config());
    let maps = ActivationMaps::new(&network, images(1).view()).unwrap();
    let map = |target| maps.map(0, target).unwrap();
    let difference = map(Target::class(1)) - map(Target::class(2));
    assert!((map(Target::class(1).against(2)) - difference).iter().all(|value| value.abs() < 1e-14));
    assert!(map(Target::class(1)).iter().any(|&value| value != map(Target::class(1))[[0, 0]]));
}

#[test]
fn networks_that_have_no_exact_maps_are_refused() {
    let error = |config: Config| {
        let network = network::<f32>(&config);
        ActivationMaps::new(&network, images(1).view()).unwrap_err().to_string()
    };
    assert!(error(Config { head_pool: HeadPool::Max, ..config() }).contains("max pooling before the classifier"));
    assert!(error(Config { hidden: vec![4], ..config() }).contains("2 linear layers at its end"));
    assert!(error(Config { num_classes: 0, ..config() }).contains("no classifier"));
    let network = network::<f32>(&config());
    let maps = ActivationMaps::new(&network, images(1).view()).unwrap();
    assert!(maps.map(0, Target::class(0).against(3)).unwrap_err().to_string().contains("class 3 of 3"));
}

fn occluded(image: &Array3<f32>, size: usize, target: Target) -> Result<Array2<f32>> {
    occlusion(&network(&config()), &Output::softmax(), image.view(), size, target)
}

/// The drop of the target's probability when `covered` pixels are 0, and the probability of the whole.
fn drop_by(image: &Array3<f32>, covered: impl Fn(usize, usize) -> bool, target: Target) -> f64 {
    let network = network(&config());
    let score = |image: Array3<f32>| {
        let probabilities =
            Output::softmax().probabilities(network.logits(image.insert_axis(Axis(0)).view()).unwrap().row(0));
        target.score(|class| probabilities[class])
    };
    let mut rest = image.clone();
    rest.indexed_iter_mut().for_each(|((_, y, x), value)| *value = if covered(y, x) { 0.0 } else { *value });
    score(image.clone()) - score(rest)
}

#[test]
fn a_pixel_has_the_mean_drop_of_the_squares_over_it() {
    let image = images(1).index_axis_move(Axis(0), 0);
    let target = Target::class(0).against(1);
    // Squares of 6 begin at 0, 3, 6, 9 and 12, the last of which is cut off.
    let map = occluded(&image, 6, target).unwrap();
    let drop = |top: usize, left: usize| {
        drop_by(&image, |y, x| (top..top + 6).contains(&y) && (left..left + 6).contains(&x), target)
    };
    let expected = [(0, 0, drop(0, 0)), (15, 15, drop(12, 12)), (4, 1, (drop(0, 0) + drop(3, 0)) / 2.0)];
    for (y, x, drop) in expected {
        assert!((f64::from(map[[y, x]]) - drop).abs() < 1e-6 && drop != 0.0, "{y} {x}: {} {drop}", map[[y, x]]);
    }
    let whole = drop_by(&image, |_, _| true, target);
    let map = occluded(&image, 16, target).unwrap();
    assert!(map.iter().all(|&value| (f64::from(value) - whole).abs() < 1e-6), "{map} {whole}");
}

#[test]
fn squares_that_do_not_fit_are_refused() {
    let image = images(1).index_axis_move(Axis(0), 0);
    for size in [0, 17] {
        let error = occluded(&image, size, Target::class(0)).unwrap_err().to_string();
        assert!(error.contains(&format!("{size} pixels for a picture of 16x16; 1 to 16 fit")), "{error}");
    }
    assert!(occluded(&image, 4, Target::class(9)).unwrap_err().to_string().contains("class 9 of 3"));
}

//! Maps against their definitions, on tiny networks.

use ndarray::{Array2, Array3, Array4, Axis};

use super::{ActivationMaps, IntegratedGradients, Noise, Target, grad_cam, occlusion, smooth_grad};
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

/// A network whose batch-norms are not the identity.
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

/// Largest difference between mean plus bias and the logit, relative to the largest logit, over pictures and targets.
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

/// The drop in the target's probability when `covered` pixels are 0, and the probability for the whole picture.
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

/// Networks with every kind of head.
fn ends() -> [Config; 4] {
    let hidden = Config { hidden: vec![5], ..config() };
    [
        config(),
        Config { head_pool: HeadPool::Max, ..config() },
        Config { head_pool: HeadPool::None, ..hidden.clone() },
        Config { final_relu: false, ..hidden },
    ]
}

#[test]
fn grad_cam_at_the_last_block_is_the_positive_part_of_the_exact_map() {
    let (network, images, target) = (network::<f64>(&config()), images(1), Target::class(2).against(0));
    let exact = ActivationMaps::new(&network, images.view()).unwrap().map(0, target).unwrap();
    let map = grad_cam(&network, images.index_axis(Axis(0), 0), 1, target).unwrap();
    let places = exact.len() as f64;
    assert!(map.iter().zip(&exact).all(|(map, exact)| (map - exact.max(0.0) / places).abs() < 1e-14));
    assert!(map.iter().any(|&value| value > 0.0) && map.iter().any(|&value| value == 0.0), "{map}");
}

/// Compares with finite differences of the logit, made by shifting a whole channel of a block's maps: the transition's
/// batch-norm subtracts a mean that is lower by the same amount.
#[test]
fn grad_cam_before_a_transition_weighs_maps_by_their_mean_slopes() {
    for config in ends() {
        let (network, images, target) = (network::<f64>(&config), images::<f64>(1), Target::class(1));
        let maps = network.features(images.view()).unwrap().blocks.swap_remove(0);
        let mean = network.architecture().blocks[0].transition.as_ref().unwrap().norm.mean.clone();
        let shifted = |channel: usize, by: f64| {
            let mut running = network.running().to_vec();
            running[mean.start + channel] -= by;
            let shifted = DenseNet::from_arenas(&config, network.parameters().to_vec(), running).unwrap();
            shifted.logits(images.view()).unwrap()[[0, 1]]
        };
        let (_, channels, height, width) = maps.dim();
        let slope = |channel| (shifted(channel, 1e-6) - shifted(channel, -1e-6)) / 2e-6 / (height * width) as f64;
        let weights: Vec<f64> = (0..channels).map(slope).collect();
        let map = grad_cam(&network, images.index_axis(Axis(0), 0), 0, target).unwrap();
        assert_eq!(map.dim(), (height, width));
        for ((y, x), &value) in map.indexed_iter() {
            let sum: f64 = (0..channels).map(|c| weights[c] * maps[[0, c, y, x]]).sum();
            assert!((value - sum.max(0.0)).abs() < 1e-7, "{y} {x}: {value} {sum}, {config:?}");
        }
    }
}

/// The gap of integrals with 1 and with 60 steps, relative to the difference, for a network with initial parameters
/// plus a wave of `height`.
fn gaps(config: &Config, height: f64) -> [f64; 2] {
    let initial = DenseNet::<f64>::new(config, 7).unwrap();
    let waved = |(i, &value): (usize, &f64)| value + height * (i as f64).sin();
    let parameters = initial.parameters().iter().enumerate().map(waved).collect();
    let network = DenseNet::from_arenas(config, parameters, initial.running().to_vec()).unwrap();
    let (images, target) = (images::<f64>(1), Target::class(2).against(1));
    let image = images.index_axis(Axis(0), 0);
    let logits = network.logits(ndarray::stack![Axis(0), image, image.mapv(|_| 0.0)].view()).unwrap();
    let difference = target.score(|class| logits[[0, class]]) - target.score(|class| logits[[1, class]]);
    [1, 60].map(|steps| {
        let found = IntegratedGradients::new(&network, image, steps, target).unwrap();
        assert!((found.difference - difference).abs() < 1e-14);
        assert!((found.map.sum() - difference - found.gap()).abs() < 1e-14);
        found.gap().abs() / difference.abs()
    })
}

#[test]
fn integrated_gradients_add_up_to_what_the_mean_colour_lacks() {
    for config in ends() {
        // Without shifts, a network is linear along a ray from 0: a single step is exact.
        if config.hidden.is_empty() {
            let [one, many] = gaps(&config, 0.0);
            assert!(one < 1e-12 && many < 1e-12, "{one} {many}, {config:?}");
        }
        let [one, many] = gaps(&config, 0.1);
        assert!(many < one / 8.0, "{one} {many}, {config:?}");
    }
}

/// Compares with finite differences of the logit.
#[test]
fn a_gradient_without_noise_is_that_of_the_picture() {
    let (network, images, target) = (network::<f64>(&config()), images::<f64>(1), Target::class(0).against(2));
    let image = images.index_axis(Axis(0), 0);
    let of = |noise| smooth_grad(&network, image, noise, target).unwrap();
    let map = of(Noise { samples: 1, level: 0.0, seed: 0 });
    for (y, x) in [(0, 0), (7, 3), (15, 15)] {
        let moved = |by| {
            let mut images = images.clone();
            images.slice_mut(ndarray::s![0, .., y, x]).mapv_inplace(|value| value + by);
            let logits = network.logits(images.view()).unwrap();
            target.score(|class| logits[[0, class]])
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((map[[y, x]] - slope).abs() < 1e-7 && slope != 0.0, "{y} {x}: {} {slope}", map[[y, x]]);
    }
    let many = of(Noise { samples: 9, level: 0.0, seed: 3 });
    assert!(map.iter().zip(&many).all(|(one, many)| (one - many).abs() < 1e-14));
}

#[test]
fn a_smooth_gradient_is_the_mean_over_noisy_copies() {
    let (network, images, target) = (network::<f64>(&config()), images::<f64>(1), Target::class(0));
    let image = images.index_axis(Axis(0), 0);
    // More than go through the network at a time.
    let noise = Noise { samples: 19, level: 0.2, seed: 5 };
    let copies: Vec<Array3<f64>> = (0..19).map(|sample| noise.copy(image, sample)).collect();
    let without = Noise { samples: 1, level: 0.0, seed: 0 };
    let maps = copies.iter().map(|copy| smooth_grad(&network, copy.view(), without, target).unwrap());
    let mean = maps.fold(Array2::zeros((16, 16)), |sum: Array2<f64>, map| sum + map) / 19.0;
    let found = smooth_grad(&network, image, noise, target).unwrap();
    assert!(found.iter().zip(&mean).all(|(found, mean)| (found - mean).abs() < 1e-14));
    let other = smooth_grad(&network, image, Noise { seed: 6, ..noise }, target).unwrap();
    assert_ne!(found, other);
    let deviations = copies.iter().flat_map(|copy| copy - &image);
    let deviation = (deviations.map(|value| value * value).sum::<f64>() / (19 * image.len()) as f64).sqrt();
    let span = image.fold(f64::MIN, |m, &v| m.max(v)) - image.fold(f64::MAX, |m, &v| m.min(v));
    assert!((deviation / (0.2 * span) - 1.0).abs() < 0.03, "{deviation} {span}");
}

#[test]
fn what_cannot_be_followed_back_is_refused() {
    let images = images::<f32>(1);
    let image = images.index_axis(Axis(0), 0);
    let (whole, backbone) = (network::<f32>(&config()), network::<f32>(&Config { num_classes: 0, ..config() }));
    let noise = Noise { samples: 1, level: 0.0, seed: 0 };
    let target = Target::class(0);
    assert!(grad_cam(&whole, image, 2, target).unwrap_err().to_string().contains("block 2 of 2"));
    let other = grad_cam(&whole, image, 0, Target::class(3)).unwrap_err().to_string();
    assert!(other.contains("class 3 of 3"), "{other}");
    let none = IntegratedGradients::new(&whole, image, 0, target).unwrap_err().to_string();
    assert!(none.contains("no steps"), "{none}");
    let none = smooth_grad(&whole, image, Noise { samples: 0, ..noise }, target).unwrap_err().to_string();
    assert!(none.contains("no samples"), "{none}");
    for level in [-0.1, f64::NAN, f64::INFINITY] {
        let wrong = smooth_grad(&whole, image, Noise { level, ..noise }, target).unwrap_err().to_string();
        assert!(wrong.contains(&format!("noise of {level}")), "{wrong}");
    }
    let refused = [
        grad_cam(&backbone, image, 0, target).unwrap_err(),
        IntegratedGradients::new(&backbone, image, 5, target).unwrap_err(),
        smooth_grad(&backbone, image, noise, target).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.to_string().contains("no classifier")), "{refused:?}");
}

//! What explains torchvision's DenseNet-121, beside pytorch-grad-cam and captum.

use std::fs;

use densenet::explain::{ActivationMaps, IntegratedGradients, Noise, Target, grad_cam, smooth_grad};
use densenet::{Config, DenseNet};
use densenet_kernels::Real;
use densenet_kernels::random::Stream;
use ndarray::{Array2, Array4, Axis};

use crate::{densenet, network, npy_of, peers, python_with};

const CLASS: usize = 2;
const STEPS: usize = 4;
const SIZE: usize = 128;

/// The map of each method, at every block where it has one.
fn maps<T: Real>(network: &DenseNet<T>, image: &Array4<T>) -> Vec<(String, Array2<T>)> {
    let (target, picture) = (Target::class(CLASS), image.index_axis(Axis(0), 0));
    let cam = ActivationMaps::new(network, image.view()).unwrap().map(0, target).unwrap();
    let noise = Noise { samples: 1, level: 0.0, seed: 0 };
    let followed_back = [
        ("cam".into(), cam),
        ("integrated".into(), IntegratedGradients::new(network, picture, STEPS, target).unwrap().map),
        ("gradient".into(), smooth_grad(network, picture, noise, target).unwrap()),
    ];
    let blocks = 0..network.architecture().blocks.len();
    let grad_cams =
        blocks.map(|block| (format!("grad_cam.{block}"), grad_cam(network, picture, block, target).unwrap()));
    followed_back.into_iter().chain(grad_cams).collect()
}

/// PyTorch works in double precision. So do we, to hold every map closely; in single precision a ReLU's input near 0 may fall on
/// either side, which a map that follows gradients through many layers shows.
#[test]
fn maps_of_densenet121_are_those_of_pytorch_grad_cam_and_captum() {
    let Some(python) = python_with("pytorch-grad-cam or captum", "pytorch_grad_cam, captum") else { return };
    let config = Config { input_size: SIZE, num_classes: 10, ..Config::preset("densenet121").unwrap() };
    let (card, single) = network(&config);
    let doubles = |values: &[f32]| values.iter().copied().map(f64::from).collect();
    let double =
        DenseNet::<f64>::from_arenas(&config, doubles(single.parameters()), doubles(single.running())).unwrap();
    let random = Stream::new(3, 0);
    let image = Array4::from_shape_fn((1, 3, SIZE, SIZE), |(_, c, y, x)| {
        random.normal(((c * SIZE + y) * SIZE + x) as u64) as f32
    });
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    let kept = |name: &str, map: Array2<f32>| {
        let (height, width) = map.dim();
        fs::write(folder.join(format!("{name}.npy")), npy_of([1, 1, height, width], map.into_iter())).unwrap();
    };
    maps(&single, &image).into_iter().for_each(|(name, map)| kept(&format!("single.{name}"), map));
    let maps = maps(&double, &image.mapv(f64::from));
    maps.into_iter().for_each(|(name, map)| kept(&format!("double.{name}"), map.mapv(|value| value as f32)));
    fs::write(folder.join("image.npy"), npy_of([1, 3, SIZE, SIZE], image.into_iter())).unwrap();
    crate::saved(folder, &card, &single);
    densenet(folder, "export --weights ours.safetensors --format torchvision --out torchvision.safetensors");
    print!("{}", peers::printed(&python, "tests/peers/explained.py", &[folder]));
}

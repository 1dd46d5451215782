//! Maps of what speaks for a class, against PyTorch's.

use densenet::DenseNet;
use densenet::explain::{ActivationMaps, IntegratedGradients, Noise, Target, grad_cam, occlusion, smooth_grad};
use densenet::output::Output;
use densenet_kernels::Real;
use ndarray::{Array3, Axis};

use crate::goldens::folder;
use crate::outputs::{Outputs, pictures, read};

fn outputs() -> Outputs {
    Outputs::load(&folder().with_file_name("explain.safetensors"))
}

#[test]
fn maps_are_pytorchs() {
    let outputs = outputs();
    let (config, network) = read(&folder().join("torchvision.pth"));
    let images = pictures((2, 3, 64, 56));
    let maps = ActivationMaps::new(&network, images.view()).unwrap();
    let map = |image, class| maps.map(image, Target::class(class)).unwrap();
    let all = (0..2).flat_map(|image| (0..config.num_classes).flat_map(move |class| map(image, class)));
    outputs.assert_near("maps", all.map(f64::from), 1e-5);
    let image = images.index_axis(Axis(0), 0);
    let occluded = occlusion(&network, &Output::softmax(), image, 20, Target::class(3)).unwrap();
    outputs.assert_near("occlusion.3", occluded.into_iter().map(f64::from), 1e-4);
}

/// Holds what gradients say of `image` to pytorch-grad-cam and captum.
fn assert_followed_back<T: Real>(prefix: &str, network: &DenseNet<T>, image: &Array3<f32>, tolerance: f64) {
    let (outputs, target, image) = (outputs(), Target::class(2), image.mapv(|value| T::of(value.into())));
    let near = |name: &str, map: ndarray::Array2<T>| {
        outputs.assert_near(&format!("{prefix}{name}"), map.iter().map(|value| value.f64()), tolerance);
    };
    for block in 0..network.architecture().blocks.len() {
        near(&format!("grad_cam.{block}"), grad_cam(network, image.view(), block, target).unwrap());
    }
    near("integrated", IntegratedGradients::new(network, image.view(), 4, target).unwrap().map);
    let noise = Noise { samples: 1, level: 0.0, seed: 0 };
    near("gradient", smooth_grad(network, image.view(), noise, target).unwrap());
}

/// The same in double precision.
fn double(network: &DenseNet) -> DenseNet<f64> {
    let doubles = |values: &[f32]| values.iter().copied().map(f64::from).collect();
    let (parameters, running) = (doubles(network.parameters()), doubles(network.running()));
    DenseNet::from_arenas(&network.architecture().config, parameters, running).unwrap()
}

#[test]
fn gradients_are_those_of_pytorch_grad_cam_and_captum() {
    let (_, torchvision) = read(&folder().join("torchvision.pth"));
    let (cifar10, _) = DenseNet::load("cifar10").unwrap();
    for (prefix, network, (height, width)) in [("", torchvision, (64, 56)), ("cifar10.", cifar10, (32, 32))] {
        let image = pictures((1, 3, height, width)).index_axis_move(Axis(0), 0);
        // captum has the places of its steps in single precision.
        assert_followed_back(prefix, &double(&network), &image, 1e-7);
        assert_followed_back(prefix, &network, &image, 1e-5);
    }
}

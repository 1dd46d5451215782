//! What a network says that inference consists of.

use densenet::info::Info;
use densenet::network::{Method, Part};
use densenet::profile::Profile;
use densenet::{Architecture, Config, DenseNet};
use ndarray::Array4;

use crate::kinds::size;
use crate::made_up::small;

/// Each step is timed under its name, in order, and their multiply-adds are the network's.
#[test]
fn every_step_is_timed() {
    for config in small().into_iter().map(|(_, config)| config).chain([Config::preset("seed").unwrap()]) {
        let network = DenseNet::<f32>::new(&config, 0).unwrap();
        let profile = Profile::default();
        let (size, _) = size(&config, (40, 40));
        let images = Array4::zeros((3, config.in_channels, size, size));
        let logits = network.profiled_logits(images.view(), &profile).unwrap();
        assert_eq!(logits, network.logits(images.view()).unwrap());
        let rows = profile.rows();
        let steps = network.steps(size, size).unwrap();
        let timed: Vec<&str> = rows.iter().map(|row| &*row.stage).collect();
        assert_eq!(timed, steps.iter().map(|step| &*step.name).collect::<Vec<_>>());
        let info = Info::new(&Architecture::new(&config).unwrap(), size).unwrap();
        assert_eq!(rows.iter().map(|row| row.macs).sum::<u64>(), 3 * info.macs);
    }
}

/// The steps before the first block are those of [`info`](densenet::info), but for a batch-norm that is folded in.
#[test]
fn a_stem_has_a_row_for_pooling_where_it_pools() {
    for (name, config) in small() {
        let network = DenseNet::<f32>::new(&config, 0).unwrap();
        let (size, _) = size(&config, (40, 40));
        let steps = network.steps(size, size).unwrap();
        let stem: Vec<_> = steps.iter().filter(|step| step.part == Part::Stem).collect();
        let info = Info::new(network.architecture(), size).unwrap();
        let layers = info.layers.iter().take_while(|layer| !layer.name.contains("denseblock"));
        let layers: Vec<_> = layers.filter(|layer| !layer.name.contains("norm")).collect();
        assert_eq!(stem.len(), layers.len(), "{name}");
        for (step, layer) in stem.iter().zip(layers) {
            let output = [step.out_channels, step.output[0], step.output[1]];
            assert_eq!((&*step.name, &output[..]), (&*layer.name, &*layer.output), "{name}");
        }
    }
}

#[test]
fn steps_of_densenet121() {
    let network = DenseNet::<f32>::new(&Config::preset("densenet121").unwrap(), 0).unwrap();
    let steps = network.steps(224, 224).unwrap();
    let step = |name: &str| steps.iter().find(|step| step.name == name).unwrap();
    let told = |name: &str| (step(name).to_string(), step(name).part, step(name).method);
    let layer = |number, conv| format!("features.denseblock{number}.denselayer1.{conv}");
    let expected = |shape: &str, part, method| (shape.to_string(), part, method);
    assert_eq!(told("features.conv0"), expected("3→64 7x7 at 112x112", Part::Stem, Method::Plain));
    assert_eq!(told("features.pool0"), expected("64→64 3x3 at 56x56", Part::Stem, Method::Pooling));
    assert_eq!(told(&layer(1, "conv1")), expected("64→128 1x1 at 56x56", Part::Bottleneck, Method::Plain));
    assert_eq!(told(&layer(1, "conv2")), expected("128→32 3x3 at 56x56", Part::Layer, Method::Four));
    assert_eq!(
        told("features.transition1.conv"),
        expected("256→128 1x1 at 28x28", Part::Transition, Method::PooledFirst)
    );
    assert_eq!(told("features.norm5"), expected("1024→1024 7x7 at 1x1", Part::Head, Method::Pooling));
    assert_eq!(told("classifier"), expected("1024→1000 1x1 at 1x1", Part::Head, Method::Plain));
    assert_eq!(steps.len(), 2 + 2 * 58 + 3 + 2);
    assert!(network.steps(16, 16).unwrap_err().to_string().contains("smallest picture"));
}

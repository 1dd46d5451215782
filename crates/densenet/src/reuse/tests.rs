use super::*;
use crate::config::{HeadPool, Stem};
use crate::{Config, init};

/// Two blocks of two layers; 8 to 12 to 16 channels, then 8 to 16 again; pictures of 8x8.
fn small() -> Config {
    let preset = Config::preset("densenet-bc-40-12").unwrap();
    Config { num_init_features: 8, growth_rate: 4, block_config: vec![2, 2], input_size: 8, ..preset }
}

/// Networks of every kind: layers with and without bottleneck; heads of all pixels, with several layers, and none.
fn networks() -> Vec<Config> {
    let flat = Config { head_pool: HeadPool::None, hidden: vec![5], ..small() };
    let basic = Config { bn_size: None, bias: true, stem: Stem::Cifar, compression: 0.7, ..small() };
    vec![small(), basic, flat, Config { num_classes: 0, ..small() }]
}

fn made(config: &Config) -> (Architecture, Vec<f32>) {
    let architecture = Architecture::new(config).unwrap();
    let parameters = init::initial(&architecture, 3).0;
    (architecture, parameters)
}

/// Mean absolute weight of the channels from `first` on, using only the tensor's name and shape.
fn naive(architecture: &Architecture, parameters: &[f32], layer: &str, first: usize, width: usize, of: usize) -> f64 {
    let name = format!("{layer}.weight");
    let tensor = architecture.parameters.iter().find(|tensor| tensor.name == name).unwrap();
    let values = &parameters[tensor.range.clone()];
    let per_channel = values.len() / tensor.shape[0] / of;
    let (mut sum, mut count) = (0.0, 0);
    for (i, value) in values.iter().enumerate() {
        let channel = i / per_channel % of;
        if (first..first + width).contains(&channel) {
            sum += f64::from(*value).abs();
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn every_entry_is_the_mean_of_its_weights() {
    for config in networks() {
        let (architecture, parameters) = made(&config);
        let blocks = reuse(&architecture, &parameters).unwrap();
        assert_eq!(blocks.len(), 2);
        for block in &blocks {
            for (i, reading) in block.readings().enumerate() {
                let maps = (i + 1).min(block.widths.len());
                assert_eq!(reading.weights.len(), maps, "{}", reading.layer);
                let channels = block.widths[..maps].iter().sum();
                for (map, &weight) in reading.weights.iter().enumerate() {
                    let first = block.widths[..map].iter().sum();
                    let expected =
                        naive(&architecture, &parameters, &reading.layer, first, block.widths[map], channels);
                    assert!((weight - expected).abs() < 1e-12 && weight > 0.0, "{}: {weight}", reading.layer);
                }
            }
        }
    }
}

#[test]
fn layers_are_named_by_the_convolution_that_reads_the_maps() {
    let names = |config: &Config| -> Vec<String> {
        let (architecture, parameters) = made(config);
        let blocks = reuse(&architecture, &parameters).unwrap();
        blocks.iter().flat_map(BlockReuse::readings).map(|reading| reading.layer.clone()).collect()
    };
    let [bottlenecked, basic, flat, backbone] = [0, 1, 2, 3].map(|i| names(&networks()[i]));
    let layers =
        ["denseblock1.denselayer1", "denseblock1.denselayer2", "denseblock2.denselayer1", "denseblock2.denselayer2"]
            .map(|layer| format!("features.{layer}.conv1"));
    let transition = "features.transition1.conv".to_string();
    let [a, b, c, d] = layers;
    assert_eq!(bottlenecked, [a, b, transition, c, d, "classifier".into()]);
    assert_eq!(basic, bottlenecked);
    assert_eq!(flat[5], "classifier.0");
    assert_eq!(backbone, bottlenecked[..5]);
}

#[test]
fn what_is_below_the_share_is_zero_and_nothing_else_is_changed() {
    for config in networks() {
        let (architecture, before) = made(&config);
        let mut after = before.clone();
        let untouched = cut(&architecture, &mut after, 0.0, 8).unwrap();
        assert_eq!((untouched.cut_connections, untouched.params, untouched.macs), (0, 0, 0));
        assert_eq!(after, before);
        let found = cut(&architecture, &mut after, 0.95, 8).unwrap();
        assert!(found.cut_connections > 0 && found.cut_connections < found.connections, "{found:?}");
        let (old, new) = (reuse(&architecture, &before).unwrap(), reuse(&architecture, &after).unwrap());
        let readings =
            |blocks: &[BlockReuse]| blocks.iter().flat_map(BlockReuse::readings).cloned().collect::<Vec<_>>();
        let mut zeros = 0;
        for (old, new) in readings(&old).iter().zip(readings(&new)) {
            for ((share, before), after) in old.shares().iter().zip(&old.weights).zip(new.weights) {
                assert_eq!(after, if *share < 0.95 { 0.0 } else { *before }, "{}", old.layer);
                zeros += usize::from(after == 0.0);
            }
        }
        assert_eq!(zeros, found.cut_connections);
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
        assert!(changed.clone().count() > 0 && changed.clone().all(|(_, after)| *after == 0.0));
    }
}

#[test]
fn what_is_saved_by_hand() {
    let (architecture, mut parameters) = made(&small());
    let weight = |name: &str| architecture.parameters.iter().find(|tensor| tensor.name == name).unwrap().range.clone();
    // The second layer reads 8 channels of the input and 4 of the first layer, and computes 16 from them for its
    // bottleneck.
    parameters[weight("features.denseblock1.denselayer2.conv1.weight")].chunks_mut(12).for_each(|row| {
        row[..8].fill(-1.0);
        row[8..].fill(0.25);
    });
    // The classifier reads 8 channels, 4 and 4.
    parameters[weight("classifier.weight")].chunks_mut(16).for_each(|row| {
        row.fill(0.5);
        row[12..].fill(0.0);
    });
    let others = ["features.transition1.conv.weight", "features.denseblock2.denselayer2.conv1.weight"];
    others.into_iter().for_each(|name| parameters[weight(name)].fill(1.0));
    let found = cut(&architecture, &mut parameters, 0.3, 8).unwrap();
    let (params, macs) = (16 * 4 + 2 * 4 + 10 * 4 + 2 * 4, 16 * 4 * 64 + 10 * 4);
    assert_eq!(found, Cut { connections: 1 + 2 + 3 + 1 + 2 + 3, cut_connections: 2, params, macs });
}

#[test]
fn networks_and_shares_that_cannot_be() {
    let (architecture, mut parameters) = made(&small());
    for share in [-0.1, 1.1, f64::NAN] {
        let error = cut(&architecture, &mut parameters, share, 8).unwrap_err().to_string();
        assert!(error.contains("must be from 0 to 1"), "{error}");
    }
    assert!(reuse(&architecture, &parameters[1..]).unwrap_err().to_string().contains("parameters for a network of"));
    let (residual, parameters) = made(&Config { joining: Joining::Residual, ..small() });
    let error = reuse(&residual, &parameters).unwrap_err().to_string();
    assert!(error.contains("joining is residual"), "{error}");
}

#[test]
fn layers_without_weights_have_shares_of_zero() {
    let reading = |weights: &[f64]| Reading { layer: String::new(), weights: weights.to_vec() }.shares();
    assert_eq!((reading(&[0.0, 0.0]), reading(&[0.5, 2.0])), (vec![0.0, 0.0], vec![0.25, 1.0]));
}

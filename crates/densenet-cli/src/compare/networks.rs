//! Networks that are alike in the widths of their layers, their parameters or their multiply-adds.

use anyhow::{Result, bail};
use densenet::config::Joining;
use densenet::info::Info;
use densenet::{Architecture, Config};

use super::plan::{Match, Network};

/// The widest residual or plain network that is tried.
const WIDEST: usize = 1024;

/// The network that `network` makes of `base`. A dense one is taken as described. For residual and plain ones, it
/// searches for the width that makes them most like the dense `base`: by the sum of the channels that their layers
/// read, by their parameters, or by their multiply-adds. Their transitions keep all channels unless `network` sets
/// another `compression`.
///
/// # Errors
/// An impossible network, or none within a tenth of the target.
pub fn config(network: &Network, base: &Config, matched: Match) -> Result<Config> {
    let own = network.over(base);
    if own.joining == Joining::Dense {
        return Ok(own);
    }
    let compression = network.compression.unwrap_or(1.0);
    let of_width = |width| Config { num_init_features: width, compression, ..own.clone() };
    let wanted = size(base, matched)?;
    let mut best = (u64::MAX, own.clone());
    for width in 1..=WIDEST {
        let config = of_width(width);
        let size = size(&config, matched)?;
        if size.abs_diff(wanted) < best.0 {
            best = (size.abs_diff(wanted), config);
        } else if size > wanted {
            break;
        }
    }
    if 10 * best.0 > wanted {
        bail!("{}: no width comes within a tenth of the dense network's {wanted}", network.name);
    }
    Ok(best.1)
}

/// What networks are alike in.
fn size(config: &Config, matched: Match) -> Result<u64> {
    let architecture = Architecture::new(config)?;
    Ok(match matched {
        Match::Widths => channels_read(&architecture),
        Match::Parameters => architecture.num_parameters() as u64,
        Match::Macs => Info::new(&architecture, config.input_size)?.macs,
    })
}

/// The sum of the channels that the layers of all blocks read.
fn channels_read(architecture: &Architecture) -> u64 {
    let layers = architecture.blocks.iter().flat_map(|block| &block.layers);
    layers.map(|layer| layer.bottleneck.as_ref().unwrap_or(&layer.conv).conv.in_channels as u64).sum()
}

/// Layers with weights, as the paper counts them.
pub fn depth(architecture: &Architecture) -> usize {
    // The stem and the classifier are two.
    architecture.pre_activations().count() + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_as_like_the_dense_network_as_their_width_allows() {
        let base = Config { in_channels: 1, input_size: 28, ..Config::preset("densenet-bc-22-12").unwrap() };
        assert_eq!(depth(&Architecture::new(&base).unwrap()), 22);
        for joining in [Joining::Residual, Joining::Plain] {
            let network = Network { name: "other".into(), joining, ..Network::default() };
            // Layers read 24, 36, 48; 30, 42, 54; 33, 45, 57 channels.
            let made = config(&network, &base, Match::Widths).unwrap();
            assert_eq!((made.num_init_features, made.compression, made.joining), (41, 1.0, joining));
            for matched in [Match::Parameters, Match::Macs] {
                let made = config(&network, &base, matched).unwrap();
                let [wanted, found] = [&base, &made].map(|config| size(config, matched).unwrap() as f64);
                assert!((found / wanted - 1.0).abs() < 0.03, "{matched:?}: {found} for {wanted}");
            }
        }
    }

    #[test]
    fn a_residual_network_may_double_its_channels() {
        let base = Config { in_channels: 1, input_size: 28, ..Config::preset("densenet-bc-22-12").unwrap() };
        let resnet = Network {
            name: "ResNet".into(),
            joining: Joining::Residual,
            bottleneck: Some(0),
            compression: Some(2.0),
            blocks: Some(vec![6, 6, 6]),
            ..Network::default()
        };
        let made = config(&resnet, &base, Match::Parameters).unwrap();
        let architecture = Architecture::new(&made).unwrap();
        let widths = architecture.blocks.iter().map(|block| block.layers[0].conv.conv.in_channels);
        let first = made.num_init_features;
        assert_eq!(widths.collect::<Vec<_>>(), [first, 2 * first, 4 * first]);
        // Most of its parameters are where pictures are small.
        let [dense, resnet] = [&base, &made].map(|config| size(config, Match::Macs).unwrap());
        assert!(resnet < dense, "{resnet} for {dense}");
    }
}

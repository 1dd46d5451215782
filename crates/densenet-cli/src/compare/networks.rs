//! Networks that are alike in their layers' widths, their parameters or their multiply-adds.

use anyhow::{Result, bail};
use densenet::config::Joining;
use densenet::info::Info;
use densenet::{Architecture, Config};

use super::plan::{Match, Network};

/// The widest residual or plain network that is tried.
const WIDEST: usize = 1024;

/// The network that `network` makes of `base`. A dense one is as it says. Residual and plain ones have a number of channels that
/// stays the same all through (no compression), so it is the one that makes them most like the dense network of the same
/// layers: by the mean of the channels that its layers read, by its parameters, or by its multiply-adds.
///
/// # Errors
/// A network that cannot be, or none within a tenth of the parameters or multiply-adds.
pub fn config(network: &Network, base: &Config, matched: Match) -> Result<Config> {
    let own = network.over(base);
    if own.joining == Joining::Dense {
        return Ok(own);
    }
    let dense = Config { joining: Joining::Dense, ..own.clone() };
    let of_width = |width| Config { num_init_features: width, compression: 1.0, ..own.clone() };
    if matched == Match::Widths {
        return Ok(of_width(mean_width(&dense)?));
    }
    let wanted = cost(&dense, matched)?;
    let mut best = (u64::MAX, own.clone());
    for width in 1..=WIDEST {
        let config = of_width(width);
        let cost = cost(&config, matched)?;
        if cost.abs_diff(wanted) < best.0 {
            best = (cost.abs_diff(wanted), config);
        } else if cost > wanted {
            break;
        }
    }
    if 10 * best.0 > wanted {
        bail!("{}: no width comes within a tenth of the dense network's {wanted}", network.name);
    }
    Ok(best.1)
}

/// The rounded mean of the channels that the layers of a dense network read.
fn mean_width(dense: &Config) -> Result<usize> {
    let architecture = Architecture::new(dense)?;
    let layers = architecture.blocks.iter().flat_map(|block| &block.layers);
    let widths: Vec<usize> =
        layers.map(|layer| layer.bottleneck.as_ref().unwrap_or(&layer.conv).conv.in_channels).collect();
    Ok((widths.iter().sum::<usize>() + widths.len() / 2) / widths.len())
}

fn cost(config: &Config, matched: Match) -> Result<u64> {
    let architecture = Architecture::new(config)?;
    Ok(match matched {
        Match::Macs => Info::new(&architecture, config.input_size)?.macs,
        _ => architecture.num_parameters() as u64,
    })
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
            let network = Network {
                name: "other".into(),
                joining,
                bottleneck: None,
                compression: None,
                blocks: None,
                growth_rate: None,
            };
            // Layers read 24, 36, 48; 30, 42, 54; 33, 45, 57 channels.
            let made = config(&network, &base, Match::Widths).unwrap();
            assert_eq!((made.num_init_features, made.compression, made.joining), (41, 1.0, joining));
            for matched in [Match::Parameters, Match::Macs] {
                let made = config(&network, &base, matched).unwrap();
                let [wanted, found] = [&base, &made].map(|config| cost(config, matched).unwrap() as f64);
                assert!((found / wanted - 1.0).abs() < 0.03, "{matched:?}: {found} for {wanted}");
            }
        }
    }
}

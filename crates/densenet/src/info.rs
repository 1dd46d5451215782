//! What a network costs: parameters and multiply-adds, in total and per layer.

use serde::Serialize;

use crate::architecture::{Block, Conv, Linear, Norm, PreAct};
use crate::{Architecture, Result};

/// Parameters, multiply-adds and layers of a network for one picture.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Number of learnable values.
    pub params: usize,
    /// Multiply-adds of the convolutions and the linear layers for one picture.
    pub macs: u64,
    /// Channels, height and width of the picture.
    pub input: [usize; 3],
    /// One row per layer in network order; parameters and multiply-adds add up to the totals.
    pub layers: Vec<Layer>,
}

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// torchvision's name; a dense layer and a transition are one row each.
    pub name: String,
    /// Channels, height and width of its output; the number of values for a linear layer.
    pub output: Vec<usize>,
    /// Number of learnable values.
    pub params: usize,
    /// Multiply-adds of its convolutions or linear map.
    pub macs: u64,
}

impl Info {
    /// Costs of `architecture` for a picture of `size` by `size` pixels.
    ///
    /// A transition's convolution is counted before its pooling, as in the paper and PyTorch, although pooling first
    /// gives the same values for a quarter of the work.
    ///
    /// # Errors
    /// A picture too small for the network.
    pub fn new(architecture: &Architecture, size: usize) -> Result<Self> {
        let sizes = architecture.block_sizes(size, size)?;
        let mut layers = stem(architecture, size);
        for (i, block) in architecture.blocks.iter().enumerate() {
            layers.extend(block_layers(block, i + 1, sizes[i].0));
        }
        let last = sizes.last().map_or(1, |&(extent, _)| extent);
        layers.push(norm_layer(&architecture.final_norm, last));
        layers.extend(architecture.classifier.iter().map(linear_layer));
        Ok(Self {
            params: layers.iter().map(|layer| layer.params).sum(),
            macs: layers.iter().map(|layer| layer.macs).sum(),
            input: [architecture.config.in_channels, size, size],
            layers,
        })
    }
}

fn stem(architecture: &Architecture, size: usize) -> Vec<Layer> {
    let conv = &architecture.stem_conv;
    let extent = conv.output_extent(size).unwrap_or(0);
    let mut layers = vec![Layer {
        name: conv.name.clone(),
        output: vec![conv.out_channels, extent, extent],
        params: conv_params(conv),
        macs: conv_macs(conv, extent),
    }];
    if let Some(norm) = &architecture.stem_norm {
        layers.push(norm_layer(norm, extent));
    }
    if let Some(pool) = architecture.stem_pool {
        let pooled = pool.output_extent(extent).unwrap_or(0);
        let output = vec![conv.out_channels, pooled, pooled];
        layers.push(Layer { name: "features.pool0".into(), output, params: 0, macs: 0 });
    }
    layers
}

fn block_layers(block: &Block, number: usize, extent: usize) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(block.layers.len() + 1);
    for (i, layer) in block.layers.iter().enumerate() {
        let parts = || layer.bottleneck.iter().chain([&layer.conv]);
        layers.push(Layer {
            name: format!("features.denseblock{number}.denselayer{}", i + 1),
            output: vec![layer.conv.conv.out_channels, extent, extent],
            params: parts().map(pre_act_params).sum(),
            macs: parts().map(|part| conv_macs(&part.conv, extent)).sum(),
        });
    }
    layers.extend(block.transition.as_ref().map(|transition| Layer {
        name: format!("features.transition{number}"),
        output: vec![transition.conv.out_channels, extent / 2, extent / 2],
        params: pre_act_params(transition),
        macs: conv_macs(&transition.conv, extent),
    }));
    layers
}

fn norm_layer(norm: &Norm, extent: usize) -> Layer {
    let output = vec![norm.channels, extent, extent];
    Layer { name: norm.name.clone(), output, params: norm_params(norm), macs: 0 }
}

/// Parameters that no earlier reader has counted.
fn norm_params(norm: &Norm) -> usize {
    2 * (norm.channels - norm.seen)
}

fn linear_layer(linear: &Linear) -> Layer {
    Layer {
        name: linear.name.clone(),
        output: vec![linear.out_features],
        params: linear.weight.len() + linear.bias.len(),
        macs: linear.weight.len() as u64,
    }
}

fn conv_params(conv: &Conv) -> usize {
    conv.weight.len() + conv.bias.as_ref().map_or(0, |bias| bias.len())
}

fn conv_macs(conv: &Conv, extent: usize) -> u64 {
    conv.weight.len() as u64 * (extent * extent) as u64
}

fn pre_act_params(pre_act: &PreAct) -> usize {
    norm_params(&pre_act.norm) + conv_params(&pre_act.conv)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::config::{HeadPool, PRESETS};

    /// A published unit of multiply-adds, and a number of such units.
    type Macs = Option<(f64, u64)>;

    /// Published parameters, and multiply-adds in units of the last digit published.
    const FIGURES: [(&str, usize, Macs); 13] = [
        ("seed", 758_226, None),
        ("densenet121", 7_978_856, Some((1e6, 2_834))),
        ("densenet169", 14_149_480, Some((1e6, 3_360))),
        ("densenet201", 20_013_928, Some((1e6, 4_291))),
        ("densenet264", 33_337_704, Some((1e6, 5_752))),
        ("densenet161", 28_681_000, Some((1e6, 7_728))),
        ("densenet-40-12", 1_019_722, None),
        ("densenet-100-12", 6_979_642, None),
        ("densenet-100-24", 27_249_082, None),
        ("densenet-bc-40-12", 176_122, None),
        ("densenet-bc-100-12", 769_162, Some((1e7, 29))),
        ("densenet-bc-250-24", 15_324_406, None),
        ("densenet-bc-190-40", 25_624_430, None),
    ];

    #[test]
    fn every_preset_has_its_published_figures() {
        assert_eq!(FIGURES.map(|(name, ..)| name), PRESETS);
        for (name, params, macs) in FIGURES {
            let architecture = Architecture::new(&Config::preset(name).unwrap()).unwrap();
            let info = Info::new(&architecture, architecture.config.input_size).unwrap();
            assert_eq!(info.params, params, "{name}");
            assert_eq!(architecture.num_parameters(), params, "{name}");
            if let Some((unit, digits)) = macs {
                assert_eq!((info.macs as f64 / unit).round() as u64, digits, "{name}: {}", info.macs);
            }
        }
    }

    #[test]
    fn rows_carry_shapes_of_the_articles_network() {
        let architecture = Architecture::new(&Config::preset("seed").unwrap()).unwrap();
        let info = Info::new(&architecture, 96).unwrap();
        let row = |name: &str| info.layers.iter().find(|layer| layer.name == name).unwrap();
        assert_eq!(row("features.conv0").output, [64, 48, 48]);
        assert_eq!(row("features.conv0").macs, 64 * 49 * 48 * 48);
        assert_eq!(row("features.pool0").output, [64, 24, 24]);
        assert_eq!(row("features.denseblock1.denselayer2").params, 2 * 96 + 32 * 96 * 9 + 32);
        assert_eq!(row("features.transition3").output, [120, 3, 3]);
        assert_eq!(row("classifier").output, [10]);
        assert!(Info::new(&architecture, 28).unwrap_err().to_string().contains("smallest"));
    }

    #[test]
    fn a_head_of_several_layers_costs_what_they_cost() {
        let base = Config { input_size: 96, ..Config::preset("seed").unwrap() };
        let rows = |config: &Config| {
            let info = Info::new(&Architecture::new(config).unwrap(), 96).unwrap();
            info.layers.into_iter().skip_while(|layer| layer.name != "features.norm5").skip(1).collect::<Vec<_>>()
        };
        let row = |name: &str, inputs: usize, outputs: usize| Layer {
            name: name.into(),
            output: vec![outputs],
            params: inputs * outputs + outputs,
            macs: (inputs * outputs) as u64,
        };
        assert_eq!(rows(&base), [row("classifier", 248, 10)]);
        let all = Config { head_pool: HeadPool::None, hidden: vec![20], ..base.clone() };
        assert_eq!(rows(&all), [row("classifier.0", 248 * 9, 20), row("classifier.2", 20, 10)]);
        assert_eq!(rows(&Config { num_classes: 0, ..base }), []);
    }
}

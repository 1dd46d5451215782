//! Weight files that torchvision's `DenseNet` loads with `strict=True`.
//!
//! Tensors already have torchvision's names; in addition, every batch-norm of PyTorch has a batch counter,
//! `num_batches_tracked`, a single 64-bit integer. The file also describes itself, as every file of ours does, so it
//! can be read back without naming its network.

use std::path::Path;

use safetensors::Dtype;

use crate::checkpoint::{COUNTER, Contents};
use crate::config::{Activation, HeadPool, Joining, Stem, StemShape};
use crate::tensor_file::{self, Entry};
use crate::{Config, Result};

/// Saves weights for torchvision.
///
/// # Errors
/// A file that cannot be written; what was at `path` before is kept.
pub fn save(contents: &Contents<'_>, path: &Path) -> Result<()> {
    let counter = contents.card.batches_tracked.to_le_bytes();
    let running = contents.architecture.running.iter();
    let norms = running.filter_map(|tensor| tensor.name.strip_suffix(".running_mean"));
    let counters =
        norms.map(|norm| Entry { name: format!("{norm}.{COUNTER}"), dtype: Dtype::I64, shape: &[], bytes: &counter });
    let entries: Vec<Entry<'_>> = counters.chain(contents.entries()).collect();
    let mut metadata = contents.card.metadata();
    // Transformers and other PyTorch programs look for this before they load tensors.
    metadata.insert("format".into(), "pt".into());
    tensor_file::write(path, metadata, entries)
}

/// What in `config` goes beyond torchvision's `DenseNet`; empty if `DenseNet(growth_rate, block_config,
/// num_init_features, bn_size, num_classes=...)` makes exactly this network.
///
/// Files of other networks load into a module with the same names that is built by hand.
pub fn beyond(config: &Config) -> Vec<String> {
    let halved = (0..config.block_config.len().saturating_sub(1)).scan(config.num_init_features, |channels, block| {
        let wide = config.block_out(*channels, config.block_config[block]);
        *channels = config.compressed(wide);
        Some(*channels == wide / 2)
    });
    let parts = [
        (config.stem != Stem::ImageNet, stem(config.stem)),
        (config.in_channels != 3, format!("input channels: {}", config.in_channels)),
        (config.bn_size.is_none(), "dense layers without a bottleneck".into()),
        (config.bias, "biases of convolutions".into()),
        (!config.final_relu, "no ReLU after the last batch-norm".into()),
        (config.head_pool == HeadPool::Max, "max pooling before the classifier".into()),
        (config.head_pool == HeadPool::None, "no pooling before the classifier".into()),
        (!config.hidden.is_empty(), "a classifier of several linear layers".into()),
        (config.num_classes == 0, "no classifier".into()),
        (config.activation != Activation::Pre, "batch-norm and ReLU after the convolutions".into()),
        (config.joining != Joining::Dense, "layers that are not densely connected".into()),
        (!halved.into_iter().all(|halved| halved), format!("compression {}", config.compression)),
    ];
    parts.into_iter().filter_map(|(beyond, part)| beyond.then_some(part)).collect()
}

/// A stem in words, e.g. `the 3x3 stem`, `the 7x7 stem of stride 2 with batch-norm and without pooling`, `the 3x3 stem
/// of stride 1 with batch-norm and 2x2 average pooling of stride 2`.
fn stem(stem: Stem) -> String {
    let StemShape { kernel, stride, norm, pool } = stem.shape();
    let mut text = format!("the {kernel}x{kernel} stem");
    if stem == Stem::Cifar {
        return text;
    }
    text += &format!(" of stride {stride}");
    text += if norm { " with batch-norm" } else { " without batch-norm" };
    text + &pool.map_or(" and without pooling".into(), |pool| format!(" and {}", pool.in_words()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PoolKind, StemPool};

    #[test]
    fn what_torchvision_has_not() {
        for name in ["densenet121", "densenet161", "densenet169", "densenet201", "densenet264"] {
            assert_eq!(beyond(&Config::preset(name).unwrap()), [""; 0], "{name}");
        }
        let seed = beyond(&Config::preset("seed").unwrap());
        assert_eq!(seed, ["input channels: 1", "dense layers without a bottleneck", "biases of convolutions"]);
        let cifar = beyond(&Config::preset("densenet-40-12").unwrap());
        assert_eq!(cifar, ["the 3x3 stem", "dense layers without a bottleneck", "compression 1"]);
        let usual = Stem::ImageNet.shape();
        let other = |shape| beyond(&Config { stem: Stem::of(shape), ..Config::preset("densenet121").unwrap() });
        assert_eq!(other(usual), [""; 0]);
        let unpooled = StemShape { pool: None, ..usual };
        assert_eq!(other(unpooled), ["the 7x7 stem of stride 2 with batch-norm and without pooling"]);
        let average = StemPool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 };
        let averaged = StemShape { kernel: 3, stride: 1, norm: true, pool: Some(average) };
        assert_eq!(other(averaged), ["the 3x3 stem of stride 1 with batch-norm and 2x2 average pooling of stride 2"]);
        let unpadded = StemShape { pool: Some(StemPool { padding: 0, ..StemPool::IMAGENET }), ..usual };
        assert_eq!(other(unpadded), ["the 7x7 stem of stride 2 with batch-norm and 3x3 max pooling of stride 2"]);
        let bare = StemShape { kernel: 5, stride: 1, norm: false, pool: None };
        assert_eq!(other(bare), ["the 5x5 stem of stride 1 without batch-norm and without pooling"]);
        let last = Config { final_relu: false, ..Config::preset("densenet121").unwrap() };
        assert_eq!(beyond(&last), ["no ReLU after the last batch-norm"]);
        let head = |head_pool, hidden, num_classes| {
            beyond(&Config { head_pool, hidden, num_classes, ..Config::preset("densenet121").unwrap() })
        };
        assert_eq!(head(HeadPool::Max, vec![], 0), ["max pooling before the classifier", "no classifier"]);
        let several = ["no pooling before the classifier", "a classifier of several linear layers"];
        assert_eq!(head(HeadPool::None, vec![64], 2), several);
    }
}

//! A network of every kind that there is.

use densenet::Config;
use densenet::config::{Joining, Stem, StemShape};

/// `base`, whose layers have no bottleneck and whose stem is CIFAR's, and after it what it becomes with every stem, kind
/// of layer, way of joining and end. The second is of torchvision's kind.
pub fn kinds(base: &Config) -> Vec<(&'static str, Config)> {
    let of = |kernel, stride, norm, pool| Stem::of(StemShape { kernel, stride, norm, pool });
    let bottleneck = Config { bn_size: Some(2), ..base.clone() };
    let stem = |stem| Config { stem, ..base.clone() };
    let residual = Config { joining: Joining::Residual, ..base.clone() };
    vec![
        ("base", base.clone()),
        ("torchvision", Config { bias: false, compression: 0.5, stem: Stem::ImageNet, ..bottleneck.clone() }),
        ("article", Config { bias: true, compression: 0.5, in_channels: 1, ..stem(Stem::ImageNet) }),
        ("B", bottleneck.clone()),
        ("C", Config { compression: 0.6, ..base.clone() }),
        ("BC", Config { bn_size: Some(3), compression: 0.6, ..base.clone() }),
        ("dropout", Config { compression: 0.6, drop_rate: 0.3, bias: true, ..bottleneck.clone() }),
        ("residual with dropout", Config { drop_rate: 0.2, bias: true, ..residual.clone() }),
        ("residual with bottlenecks", Config { bn_size: Some(2), compression: 0.7, bias: true, ..residual }),
        ("plain", Config { joining: Joining::Plain, bias: true, ..base.clone() }),
        ("3x3 stem with norm", Config { stem: of(3, 1, true, false), ..bottleneck }),
        ("7x7 stem with norm", stem(of(7, 2, true, false))),
        ("7x7 stem without norm", Config { bias: true, ..stem(of(7, 2, false, false)) }),
        ("5x5 stem without norm", stem(of(5, 2, false, false))),
        ("5x5 stem with pooling", stem(of(5, 1, true, true))),
        ("no last ReLU", Config { final_relu: false, ..base.clone() }),
    ]
}

//! A network of every kind that there is.

use densenet::Config;
use densenet::config::{Activation, HeadPool, Joining, PoolKind, Stem, StemPool, StemShape};

/// `base`, whose layers have no bottleneck and whose stem is CIFAR's, and after it what it becomes with every stem, kind
/// of layer, way of joining and end. The second is of torchvision's kind.
pub fn kinds(base: &Config) -> Vec<(&'static str, Config)> {
    let pooled = |kernel, stride, norm, pool| Stem::of(StemShape { kernel, stride, norm, pool });
    let of = |kernel, stride, norm| pooled(kernel, stride, norm, None);
    let pool = |kind, kernel, stride, padding| Some(StemPool { kind, kernel, stride, padding });
    let bottleneck = Config { bn_size: Some(2), ..base.clone() };
    let stem = |stem| Config { stem, ..base.clone() };
    let residual = Config { joining: Joining::Residual, ..base.clone() };
    let post = Config { activation: Activation::Post, compression: 0.6, ..base.clone() };
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
        ("residual that widens", Config { joining: Joining::Residual, compression: 2.0, ..base.clone() }),
        ("post-activation", post.clone()),
        ("post-activation with bottlenecks", Config { bn_size: Some(2), drop_rate: 0.2, bias: true, ..post.clone() }),
        ("plain post-activation", Config { joining: Joining::Plain, compression: 1.0, ..post }),
        ("plain", Config { joining: Joining::Plain, bias: true, ..base.clone() }),
        ("3x3 stem with norm", Config { stem: of(3, 1, true), ..bottleneck }),
        ("7x7 stem with norm", stem(of(7, 2, true))),
        ("7x7 stem without norm", Config { bias: true, ..stem(of(7, 2, false)) }),
        ("15x15 stem with norm", stem(of(15, 2, true))),
        ("5x5 stem without norm", stem(of(5, 2, false))),
        ("5x5 stem with pooling", stem(pooled(5, 1, true, Some(StemPool::IMAGENET)))),
        ("stem with 2x2 pooling", stem(pooled(3, 1, true, pool(PoolKind::Max, 2, 2, 0)))),
        ("stem with average pooling", stem(pooled(3, 1, true, pool(PoolKind::Average, 2, 2, 0)))),
        ("stem with padded average pooling", stem(pooled(3, 1, true, pool(PoolKind::Average, 3, 2, 1)))),
        ("maxima classified", Config { head_pool: HeadPool::Max, ..base.clone() }),
        ("all pixels classified", Config { head_pool: HeadPool::None, ..base.clone() }),
        ("hidden layers", Config { hidden: vec![9, 6], ..base.clone() }),
        (
            "hidden layer over all pixels",
            Config { head_pool: HeadPool::None, hidden: vec![11], final_relu: false, ..base.clone() },
        ),
        ("no last ReLU", Config { final_relu: false, ..base.clone() }),
    ]
}

/// Height and width of pictures for a network of `config`: the `usual`, unless it takes those of its own size only.
pub fn size(config: &Config, usual: (usize, usize)) -> (usize, usize) {
    match config.head_pool {
        HeadPool::None => (config.input_size, config.input_size),
        HeadPool::Average | HeadPool::Max => usual,
    }
}

//! Operations in words.

use densenet::Architecture;
use densenet::architecture::PreAct;
use densenet::config::{HeadPool, Joining, StemShape};

/// As `Stem: 3x3 conv 3 → 24`, with all that follows it before the first block.
pub fn stem(architecture: &Architecture) -> String {
    let StemShape { kernel, stride, norm, pool } = architecture.config.stem.shape();
    let conv = &architecture.stem_conv;
    let stride = if stride > 1 { format!(" of stride {stride}") } else { String::new() };
    let norm = if norm { ", BN, ReLU" } else { "" };
    let pool = pool.map(|pool| format!(", {}", pool.in_words())).unwrap_or_default();
    format!("Stem: {kernel}x{kernel} conv {} → {}{stride}{norm}{pool}", conv.in_channels, conv.out_channels)
}

/// As `BN, ReLU, 1x1 conv 256 → 128`.
pub fn pre_act(PreAct { conv, .. }: &PreAct) -> String {
    format!("BN, ReLU, {kernel}x{kernel} conv {} → {}", conv.in_channels, conv.out_channels, kernel = conv.kernel)
}

/// What follows the last block.
pub fn head(architecture: &Architecture) -> String {
    let relu = if architecture.config.final_relu { ", ReLU" } else { "" };
    let pool = match architecture.config.head_pool {
        HeadPool::Average => ", global average pooling",
        HeadPool::Max => ", global max pooling",
        HeadPool::None => "",
    };
    let linear = architecture.classifier.iter().map(|linear| {
        let relu = if linear.relu { ", ReLU" } else { "" };
        format!(", linear {} → {}{relu}", linear.in_features, linear.out_features)
    });
    format!("Head: BN{relu}{pool}{}", linear.collect::<String>())
}

/// As `Dense block 1`, for the block of that index.
pub fn block(architecture: &Architecture, index: usize) -> String {
    let kind = match architecture.config.joining {
        Joining::Dense => "Dense",
        Joining::Residual => "Residual",
        Joining::Plain => "Plain",
    };
    format!("{kind} block {}", index + 1)
}

/// As `BN, ReLU, 1x1 conv to 128, BN, ReLU, 3x3 conv to 32`: what all layers of a network have in common.
pub fn layer(architecture: &Architecture) -> String {
    let layer = &architecture.blocks[0].layers[0];
    let dense = architecture.config.joining == Joining::Dense;
    let words = |PreAct { conv, .. }: &PreAct| {
        // Of other joinings each block has a width of its own.
        let width = if dense { format!(" to {}", conv.out_channels) } else { String::new() };
        format!("BN, ReLU, {k}x{k} conv{width}", k = conv.kernel)
    };
    layer.bottleneck.iter().chain([&layer.conv]).map(words).collect::<Vec<_>>().join(", ")
}

//! Operations in words.

use densenet::Architecture;
use densenet::architecture::PreAct;
use densenet::config::{Activation, HeadPool, Joining, StemShape};

/// As `Stem: 3x3 conv 3 → 24`, with all that follows it before the first block.
pub fn stem(architecture: &Architecture) -> String {
    let StemShape { kernel, stride, norm, pool } = architecture.config.stem.shape();
    let conv = &architecture.stem_conv;
    let stride = if stride > 1 { format!(" of stride {stride}") } else { String::new() };
    let norm = if norm || is_post(architecture) { ", BN, ReLU" } else { "" };
    let pool = pool.map(|pool| format!(", {}", pool.in_words())).unwrap_or_default();
    format!("Stem: {kernel}x{kernel} conv {} → {}{stride}{norm}{pool}", conv.in_channels, conv.out_channels)
}

/// As `BN, ReLU, 1x1 conv 256 → 128, 2x2 average pooling`.
pub fn transition(architecture: &Architecture, PreAct { conv, .. }: &PreAct) -> String {
    let (kernel, input, output) = (conv.kernel, conv.in_channels, conv.out_channels);
    let both = format!("{kernel}x{kernel} conv {input} → {output}, 2x2 average pooling");
    if is_post(architecture) { both + ", BN, ReLU" } else { "BN, ReLU, ".to_string() + &both }
}

/// Whether batch-norm and ReLU follow each convolution.
fn is_post(architecture: &Architecture) -> bool {
    architecture.config.activation == Activation::Post
}

/// What follows the last block.
pub fn head(architecture: &Architecture) -> String {
    let norm = match (architecture.config.activation, architecture.config.final_relu) {
        (Activation::Post, _) => "",
        (Activation::Pre, true) => "BN, ReLU, ",
        (Activation::Pre, false) => "BN, ",
    };
    let pool = match architecture.config.head_pool {
        HeadPool::Average => "global average pooling, ",
        HeadPool::Max => "global max pooling, ",
        HeadPool::None => "",
    };
    let linear = architecture.classifier.iter().map(|linear| {
        let relu = if linear.relu { ", ReLU" } else { "" };
        format!("linear {} → {}{relu}, ", linear.in_features, linear.out_features)
    });
    let parts = format!("{norm}{pool}{}", linear.collect::<String>());
    format!("Head: {}", parts.trim_end_matches(", "))
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

/// As `BN, ReLU, 1x1 conv to 128, BN, ReLU, 3x3 conv to 32`, or with both after each convolution: what all layers of a network have in common.
pub fn layer(architecture: &Architecture) -> String {
    let layer = &architecture.blocks[0].layers[0];
    let dense = architecture.config.joining == Joining::Dense;
    let words = |PreAct { conv, .. }: &PreAct| {
        // With other ways of joining, each block has its own width.
        let width = if dense { format!(" to {}", conv.out_channels) } else { String::new() };
        let conv = format!("{k}x{k} conv{width}", k = conv.kernel);
        if is_post(architecture) { conv + ", BN, ReLU" } else { "BN, ReLU, ".to_string() + &conv }
    };
    layer.bottleneck.iter().chain([&layer.conv]).map(words).collect::<Vec<_>>().join(", ")
}

//! The layers that read a block's maps, and which of their weights belong to which map.

use std::ops::Range;

use crate::Architecture;
use crate::architecture::{Conv, DenseLayer};

/// A convolution or linear layer that reads the concatenation of maps.
pub struct Reader<'a> {
    /// Its name, e.g. `features.denseblock1.denselayer2.conv1`.
    pub name: &'a str,
    /// Channels of each map that it reads.
    pub widths: Vec<usize>,
    /// Number of its outputs.
    pub outputs: usize,
    /// Its weights `[outputs, channels, values]`, in the parameters.
    weight: Range<usize>,
    /// Weights of each output for each channel: for a convolution the positions of its kernel, for a linear layer the
    /// pixels.
    values: usize,
}

impl Reader<'_> {
    /// Number of weights for a map, counted from 0.
    pub fn count(&self, map: usize) -> usize {
        self.outputs * self.widths[map] * self.values
    }

    /// Where these weights are in the parameters: a range for each output.
    pub fn ranges(&self, map: usize) -> impl Iterator<Item = Range<usize>> {
        let channels: usize = self.widths.iter().sum();
        let first = self.weight.start + self.widths[..map].iter().sum::<usize>() * self.values;
        let (step, length) = (channels * self.values, self.widths[map] * self.values);
        (0..self.outputs).map(move |output| first + output * step..first + output * step + length)
    }
}

/// The layers of a block in order, then its transition, or after the last block the first linear layer.
pub fn readers(architecture: &Architecture, block: usize) -> Vec<Reader<'_>> {
    let (index, block) = (block, &architecture.blocks[block]);
    let widths: Vec<usize> = block.widths().collect();
    let layers = block.layers.iter().enumerate().map(|(i, layer)| of_conv(first_conv(layer), &widths[..=i]));
    let transition = block.transition.iter().map(|transition| of_conv(&transition.conv, &widths));
    let last = index + 1 == architecture.blocks.len();
    let linear = architecture.classifier.first().filter(|_| last).map(|linear| Reader {
        name: &linear.name,
        widths: widths.clone(),
        outputs: linear.out_features,
        weight: linear.weight.clone(),
        values: linear.in_features / architecture.final_norm.channels,
    });
    layers.chain(transition).chain(linear).collect()
}

/// The convolution of a layer that reads the maps before it.
fn first_conv(layer: &DenseLayer) -> &Conv {
    &layer.bottleneck.as_ref().unwrap_or(&layer.conv).conv
}

fn of_conv<'a>(conv: &'a Conv, widths: &[usize]) -> Reader<'a> {
    let (name, outputs, weight) = (conv.name.as_str(), conv.out_channels, conv.weight.clone());
    Reader { name, widths: widths.to_vec(), outputs, weight, values: conv.kernel * conv.kernel }
}

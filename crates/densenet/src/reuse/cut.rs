//! A network without its weak connections.

use serde::Serialize;

use super::readers::{Reader, readers};
use super::{check, reading};
use crate::{Architecture, Error, Result};

/// What was cut from a network, and what it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Number of connections from a map to a layer that reads it.
    pub connections: usize,
    /// How many of these were cut.
    pub cut_connections: usize,
    /// How many parameters fewer a network without them has: their weights, and the scale and shift of each channel
    /// that the layer's own batch-norm no longer reads.
    pub params: usize,
    /// Multiply-adds per picture that such a network saves.
    pub macs: u64,
}

/// Sets to zero, in `parameters`, the weights of all connections whose mean absolute weight is below `share` of the
/// largest in the same layer. Costs are for a picture of `size` by `size` pixels; as in [`Info`](crate::info::Info), a
/// transition's convolution is counted before its pooling.
///
/// # Errors
/// A share outside 0 to 1, a picture too small for the network, and those of [`reuse`](super::reuse()).
pub fn cut(architecture: &Architecture, parameters: &mut [f32], share: f64, size: usize) -> Result<Cut> {
    check(architecture, parameters)?;
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::Config(format!(
            "the share below which connections are cut is {share}; it must be from 0 to 1"
        )));
    }
    let mut all = Cut::default();
    for (index, (height, width)) in architecture.block_sizes(size, size)?.into_iter().enumerate() {
        for reader in readers(architecture, index) {
            // A linear layer has the weights of all pixels, and uses each once.
            let linear = architecture.classifier.first().is_some_and(|linear| linear.name == reader.name);
            let pixels = if linear { 1 } else { height * width };
            all.add(cut_reader(&reader, parameters, share, pixels as u64));
        }
    }
    Ok(all)
}

impl Cut {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.cut_connections += other.cut_connections;
        self.params += other.params;
        self.macs += other.macs;
    }
}

/// Cuts what one layer hardly reads; it uses each of its weights at this many `pixels`.
fn cut_reader(reader: &Reader<'_>, parameters: &mut [f32], share: f64, pixels: u64) -> Cut {
    let shares = reading(reader, parameters).shares();
    let mut found = Cut { connections: shares.len(), ..Cut::default() };
    for (map, _) in shares.iter().enumerate().filter(|&(_, &of_largest)| of_largest < share) {
        reader.ranges(map).for_each(|range| parameters[range].fill(0.0));
        found.cut_connections += 1;
        found.params += reader.count(map) + 2 * reader.widths[map];
        found.macs += reader.count(map) as u64 * pixels;
    }
    found
}

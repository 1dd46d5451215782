//! How trained layers use the maps before them: figure 5 of the paper, and networks without their weak connections.
//!
//! In a dense block each layer reads the concatenation of all maps before it, so the weights of its first convolution
//! divide into one part per map. The mean absolute weight of a part shows how much the layer relies on that map.

mod cut;
mod readers;

use serde::Serialize;

pub use self::cut::{Cut, cut};
use self::readers::{Reader, readers};
use crate::config::Joining;
use crate::{Architecture, Error, Result};

/// How much one layer uses each map that it reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// The convolution or linear layer that reads them, e.g. `features.denseblock1.denselayer2.conv1`.
    pub layer: String,
    /// For each map, in the order in which they are made: the mean absolute weight over the map's channels, the layer's
    /// outputs and the positions of its kernel; at least 0.
    pub weights: Vec<f64>,
}

impl Reading {
    /// The weights relative to the largest: from 0 to 1, and 0 if all are 0.
    pub fn shares(&self) -> Vec<f64> {
        let largest = self.weights.iter().copied().fold(0.0, f64::max);
        self.weights.iter().map(|weight| if largest == 0.0 { 0.0 } else { weight / largest }).collect()
    }
}

/// How the layers of a dense block, and the operation after it, use the block's maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockReuse {
    /// Channels of each map: the block's input, then what each layer adds.
    pub widths: Vec<usize>,
    /// The block's layers in order; the n-th, from 1, reads the first n maps.
    pub layers: Vec<Reading>,
    /// The transition, or after the last block the (first) linear layer, which reads all maps; `None` in a backbone.
    pub after: Option<Reading>,
}

impl BlockReuse {
    /// The layers, and the operation after them.
    pub fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.layers.iter().chain(&self.after)
    }
}

/// How each layer of a network with these `parameters`, laid out as in [`Architecture::parameters`], uses the maps
/// before it: a matrix for each block.
///
/// # Errors
/// Layers that are not densely connected, or the wrong number of parameters.
pub fn reuse(architecture: &Architecture, parameters: &[f32]) -> Result<Vec<BlockReuse>> {
    check(architecture, parameters)?;
    let block = |index: usize| {
        let block = &architecture.blocks[index];
        let mut layers: Vec<Reading> =
            readers(architecture, index).iter().map(|reader| reading(reader, parameters)).collect();
        let after = if layers.len() > block.layers.len() { layers.pop() } else { None };
        BlockReuse { widths: block.widths().collect(), layers, after }
    };
    Ok((0..architecture.blocks.len()).map(block).collect())
}

fn reading(reader: &Reader<'_>, parameters: &[f32]) -> Reading {
    let weight = |map: usize| {
        let sum: f64 = reader.ranges(map).flat_map(|range| &parameters[range]).map(|w| f64::from(w.abs())).sum();
        sum / reader.count(map) as f64
    };
    Reading { layer: reader.name.into(), weights: (0..reader.widths.len()).map(weight).collect() }
}

fn check(architecture: &Architecture, parameters: &[f32]) -> Result<()> {
    let (have, want) = (parameters.len(), architecture.num_parameters());
    if have != want {
        return Err(Error::Config(format!("{have} parameters for a network of {want}")));
    }
    let other = match architecture.config.joining {
        Joining::Dense => return Ok(()),
        Joining::Residual => "residual",
        Joining::Plain => "plain",
    };
    let reason = format!(
        "joining is {other}, where a layer reads only the one before it; only joining dense has connections to measure"
    );
    Err(Error::Config(reason))
}

#[cfg(test)]
mod tests;

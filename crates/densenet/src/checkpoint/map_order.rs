//! In which order the layers of a file concatenate their maps.
//!
//! In the paper's equation 2 a layer appends: it reads `[x0, x1, ...]` and its new map comes last. Other
//! implementations put the new map first, `cat((new, old))`, which no shape shows. Running statistics do: all
//! batch-norms of a block see the same maps, so the running means of one reappear in the next one's, at its beginning
//! or at its end.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Weights;
use crate::Architecture;
use crate::architecture::{Block, Conv, Norm};
use crate::config::Joining;

/// Where a layer's new maps go among the maps that the next layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewMaps {
    /// Before the older ones.
    First,
    /// After the older ones, as in the paper and in every network here.
    Last,
}

/// Largest difference between two batch-norms' running means, relative to their size, at which they belong to the same
/// maps. Means that one program wrote are bitwise equal, but some libraries add in a different order for different
/// widths.
const SAME: f64 = 1e-3;

/// Smallest relative difference at which they belong to different maps.
const DIFFERENT: f64 = 1e-1;

/// What the running statistics of `weights` show; `None` where they are those of a new network, or show nothing.
pub(super) fn told(architecture: &Architecture, weights: &Weights) -> Option<NewMaps> {
    if architecture.config.joining != Joining::Dense {
        return None;
    }
    let mean = |norm: &Norm| &weights.running[norm.mean.clone()];
    let mut votes = [0usize; 2];
    for (i, block) in architecture.blocks.iter().enumerate() {
        let readers: Vec<&Norm> = readers(architecture, i, block).map(|reader| reader.norm).collect();
        for pair in readers.windows(2) {
            let (before, after) = (mean(pair[0]), mean(pair[1]));
            let last = difference(before, &after[..before.len()]);
            let first = difference(before, &after[after.len() - before.len()..]);
            votes[0] += usize::from(last <= SAME && first >= DIFFERENT);
            votes[1] += usize::from(first <= SAME && last >= DIFFERENT);
        }
    }
    match votes.map(|count| count > 0) {
        [true, false] => Some(NewMaps::Last),
        [false, true] => Some(NewMaps::First),
        _ => None,
    }
}

/// Norm of the difference of two vectors, relative to the first one's.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let size = norm(&mut a.iter().map(|&v| v.into()));
    norm(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b))) / size
}

/// Reorders weights whose layers put new maps first for `architecture`, whose layers put them last.
pub(super) fn new_maps_last(architecture: &Architecture, weights: &mut Weights) {
    for (i, block) in architecture.blocks.iter().enumerate() {
        for (layers, reader) in readers(architecture, i, block).enumerate() {
            let from = places(block, layers);
            let Norm { weight, bias, mean, variance, .. } = reader.norm;
            let parameters =
                [weight, bias].map(|range| (range, 1)).into_iter().chain(reader.weight.map(|w| (w, reader.elements)));
            for (range, elements) in parameters {
                permute(&mut weights.parameters[range.clone()], &from, elements);
            }
            for range in [mean, variance] {
                permute(&mut weights.running[range.clone()], &from, 1);
            }
        }
    }
}

/// A batch-norm over all maps at some point of a block, and the weights that read its output.
struct Reader<'a> {
    norm: &'a Norm,
    /// `[out][in][elements]`; `None` where nothing reads it.
    weight: Option<&'a Range<usize>>,
    elements: usize,
}

/// The readers of a block's maps in order: its layers, then its transition or the network's end.
fn readers<'a>(architecture: &'a Architecture, number: usize, block: &'a Block) -> impl Iterator<Item = Reader<'a>> {
    let of = |norm: &'a Norm, conv: &'a Conv| Reader {
        norm,
        weight: Some(&conv.weight),
        elements: conv.kernel * conv.kernel,
    };
    let layers = block.layers.iter().map(|layer| layer.bottleneck.as_ref().unwrap_or(&layer.conv));
    let last = number + 1 == architecture.blocks.len();
    let end = last.then(|| {
        let (norm, first) = (&architecture.final_norm, architecture.classifier.first());
        // A classifier of all pixels reads the pixels of a channel side by side.
        let elements = architecture.num_features / norm.channels;
        Reader { norm, weight: first.map(|linear| &linear.weight), elements }
    });
    layers.chain(&block.transition).map(move |op| of(&op.norm, &op.conv)).chain(end)
}

/// For each channel of a reader after `layers` layers, its position where new maps come first.
fn places(block: &Block, layers: usize) -> Vec<usize> {
    let widths: Vec<usize> = block.widths().take(layers + 1).collect();
    let after = |map: usize| widths[map + 1..].iter().sum::<usize>();
    (0..widths.len()).flat_map(|map| after(map)..after(map) + widths[map]).collect()
}

/// Moves channel `from[c]` of `[any][channel][elements]` to `c`.
fn permute(values: &mut [f32], from: &[usize], elements: usize) {
    let mut row = Vec::new();
    for values in values.chunks_exact_mut(from.len() * elements) {
        row.clear();
        row.extend(from.iter().flat_map(|&c| &values[c * elements..][..elements]));
        values.copy_from_slice(&row);
    }
}

#[cfg(test)]
mod tests {
    use densenet_kernels::random::Stream;

    use super::*;
    use crate::Config;

    fn network() -> (Architecture, Weights) {
        let small = Config {
            block_config: vec![3, 2],
            growth_rate: 4,
            num_init_features: 6,
            ..Config::preset("densenet-bc-40-12").unwrap()
        };
        let architecture = Architecture::new(&small).unwrap();
        let random = Stream::new(5, 0);
        let values = |n: usize, first: u64| (0..n as u64).map(|i| random.normal(first + i) as f32).collect();
        let (parameters, running) = (architecture.num_parameters(), architecture.num_running());
        (
            architecture,
            Weights { parameters: values(parameters, 0), running: values(running, 1 << 32), quantization: None },
        )
    }

    /// Gives all batch-norms of a block the same running means, in the order in which the layers concatenate maps.
    fn share_means(architecture: &Architecture, weights: &mut Weights, order: NewMaps) {
        for (i, block) in architecture.blocks.iter().enumerate() {
            let all: Vec<&Norm> = readers(architecture, i, block).map(|reader| reader.norm).collect();
            let longest = weights.running[all.last().unwrap().mean.clone()].to_vec();
            for norm in all {
                let same = match order {
                    NewMaps::Last => &longest[..norm.channels],
                    NewMaps::First => &longest[longest.len() - norm.channels..],
                };
                weights.running[norm.mean.clone()].copy_from_slice(same);
            }
        }
    }

    #[test]
    fn means_that_layers_share_tell_the_order() {
        let (architecture, weights) = network();
        assert_eq!(told(&architecture, &weights), None);
        for order in [NewMaps::First, NewMaps::Last] {
            let mut weights = weights.clone();
            share_means(&architecture, &mut weights, order);
            assert_eq!(told(&architecture, &weights), Some(order));
        }
        let fresh = Weights { running: vec![0.0; weights.running.len()], ..weights };
        assert_eq!(told(&architecture, &fresh), None);
    }

    #[test]
    fn channels_go_to_their_places_in_the_order_of_the_paper() {
        let (architecture, mut weights) = network();
        let block = &architecture.blocks[0];
        assert_eq!(places(block, 0), (0..6).collect::<Vec<_>>());
        assert_eq!(places(block, 2), [8, 9, 10, 11, 12, 13, 4, 5, 6, 7, 0, 1, 2, 3]);
        share_means(&architecture, &mut weights, NewMaps::First);
        let before = weights.clone();
        new_maps_last(&architecture, &mut weights);
        assert_eq!(told(&architecture, &weights), Some(NewMaps::Last));
        let conv = &block.layers[1].bottleneck.as_ref().unwrap().conv;
        let row = |weights: &Weights| weights.parameters[conv.weight.clone()][..10].to_vec();
        let (old, new) = (row(&before), row(&weights));
        assert_eq!((&new[..6], &new[6..]), (&old[4..], &old[..4]));
        let stem = architecture.stem_conv.weight.clone();
        assert_eq!(weights.parameters[stem.clone()], before.parameters[stem]);
    }
}

//! A dense block as a drawing: its maps in a row, and a curve for each that a layer reads over the heads of others.

use densenet::architecture::{Block, Conv, DenseLayer};
use densenet::config::Joining;
use maud::{Markup, html};

use crate::output::counted;

/// Height of a block's drawing.
pub const HEIGHT: f64 = 178.0;
/// Layers up to which all are drawn; of longer blocks, only the first and the last.
const MOST: usize = 6;
/// Layers of an abbreviated block before the gap.
const FIRST: usize = 4;
/// A map's box.
const BOX: [f64; 2] = [58.0, 38.0];
/// Where the boxes begin.
const TOP: f64 = 108.0;
/// Of the block's input, and of what its layers add, in turn.
const COLOURS: [&str; 7] = ["#52606d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#3a9bd6"];

/// What stands in the row.
struct Place {
    /// In words.
    name: String,
    /// Channels that it adds to what it reads.
    adds: String,
    /// Channels that it reads; none of the block's input.
    reads: Option<usize>,
}

/// The layers of a block and how they are joined, in a drawing of that `width`.
pub fn dense_block(name: &str, block: &Block, joining: Joining, width: f64) -> Markup {
    let places = places(block, joining);
    // The last place is where what follows reads all of them.
    let step = width / (places.len() + 1) as f64;
    let x = |place: usize| (place as f64 + 0.5) * step;
    // What is added leaves the line and comes back to it; what is read beside the line goes from box to box.
    let base = if joining == Joining::Residual { TOP + BOX[1] / 2.0 } else { TOP - 2.0 };
    html! {
        rect class="block" width=(width) height=(HEIGHT) rx="8" {}
        text class="name" x="14" y="24" { (name) }
        text class="quiet" x="14" y="41" { (counted(block.layers.len(), "layer")) }
        path class="flow" d={ "M" (x(0)) " " (TOP + BOX[1] / 2.0) "H" (x(places.len())) } {}
        @for (from, to, colour) in curves(joining, &places) {
            (curve(x(0) + from * step, x(0) + to * step, base, colour))
        }
        @for (i, place) in places.iter().enumerate() {
            @match place {
                Some(place) => (box_at(x(i), place, COLOURS[i % COLOURS.len()])),
                None => {
                    rect x=(x(i) - 16.0) y=(TOP + 9.0) width="32" height="20" fill="#eef5fc" {}
                    text class="title middle" x=(x(i)) y=(TOP + 26.0) { "⋯" }
                }
            }
        }
        rect class="tip" x=(x(places.len()) - 4.0) y=(TOP - 4.0) width="8" height=(BOX[1] + 8.0) rx="3" {}
        text class="middle" x=(x(places.len())) y=(TOP + BOX[1] + 20.0) { (channels(block, joining)) }
    }
}

/// The block's input and its layers; none is the gap in a long block.
fn places(block: &Block, joining: Joining) -> Vec<Option<Place>> {
    let input = Place { name: "input".into(), adds: block.in_channels.to_string(), reads: None };
    let count = block.layers.len();
    let shown = |i: usize| count <= MOST || i < FIRST || i + 1 == count;
    let layer = |i: usize| {
        let layer = &block.layers[i];
        let (reads, makes) = (first(layer).in_channels, layer.conv.conv.out_channels);
        let adds = if joining == Joining::Dense { format!("+{makes}") } else { makes.to_string() };
        Place { name: format!("layer {}", i + 1), adds, reads: Some(reads) }
    };
    let layers = (0..count).filter_map(|i| match (shown(i), i == FIRST) {
        (true, _) => Some(Some(layer(i))),
        (false, first_hidden) => first_hidden.then_some(None),
    });
    std::iter::once(Some(input)).chain(layers).collect()
}

/// Channels at the block's end.
fn channels(block: &Block, joining: Joining) -> usize {
    if joining == Joining::Dense { block.widths().sum() } else { block.in_channels }
}

/// From where to where curves go, in places, and their colours.
fn curves(joining: Joining, places: &[Option<Place>]) -> Vec<(f64, f64, &'static str)> {
    let drawn = |i: usize| places.get(i).is_none_or(Option::is_some);
    let colour = |i: usize| COLOURS[i % COLOURS.len()];
    match joining {
        // Each map goes to all layers after it, and to what follows the block.
        Joining::Dense => {
            let pairs = (0..places.len()).flat_map(|from| (from + 2..=places.len()).map(move |to| (from, to)));
            let pairs = pairs.filter(|&(from, to)| drawn(from) && drawn(to));
            pairs.map(|(from, to)| (from as f64, to as f64, colour(from))).collect()
        }
        // What a layer reads is added to what it makes.
        Joining::Residual => {
            let layers = (1..places.len()).filter(|&i| drawn(i));
            layers.map(|i| (i as f64 - 0.5, i as f64 + 0.5, colour(i - 1))).collect()
        }
        Joining::Plain => Vec::new(),
    }
}

/// A curve over the boxes from `from` to `to`, the higher the farther, that begins and ends at the height `base`.
fn curve(from: f64, to: f64, base: f64, colour: &str) -> Markup {
    let (start, end, rise) = (from + 4.0, to - 4.0, 18.0 + 0.155 * (to - from));
    let top = TOP - 2.0;
    let [start, end, left, right, peak] = [start, end, start + 6.0, end - 6.0, top - rise].map(round);
    let path = format!("M{start} {base}V{top}C{left} {peak} {right} {peak} {end} {top}V{base}");
    html! { path class="curve" stroke=(colour) d=(path) {} }
}

fn box_at(x: f64, place: &Place, colour: &str) -> Markup {
    let [width, height] = BOX;
    html! {
        rect class="map" x=(round(x - width / 2.0)) y=(TOP) width=(width) height=(height) rx="5" stroke=(colour) {}
        text class="middle" x=(round(x)) y=(TOP + 16.0) { (place.name) }
        text class="middle" x=(round(x)) y=(TOP + 31.0) font-weight="600" { (place.adds) }
        @if let Some(reads) = place.reads {
            text class="middle quiet" x=(round(x)) y=(TOP + height + 20.0) { "reads " (reads) }
        }
    }
}

/// A layer's first convolution, which reads the block's maps.
fn first(layer: &DenseLayer) -> &Conv {
    &layer.bottleneck.as_ref().unwrap_or(&layer.conv).conv
}

/// A place to a tenth of a unit.
fn round(place: f64) -> f64 {
    (10.0 * place).round() / 10.0
}

#[cfg(test)]
mod tests {
    use densenet::{Architecture, Config};

    use super::*;

    fn drawn(joining: Joining, layers: usize) -> String {
        let config = Config { joining, block_config: vec![layers], ..Config::preset("densenet-40-12").unwrap() };
        let architecture = Architecture::new(&config).unwrap();
        dense_block("Block", &architecture.blocks[0], joining, 700.0).into_string()
    }

    #[test]
    fn a_curve_for_each_map_that_is_not_the_one_before() {
        let curves = |joining, layers| drawn(joining, layers).matches("class=\"curve\"").count();
        // The input and 3 layers are read by 3 layers and what follows: 4 + 3 + 2 + 1, and 4 of them are neighbours.
        assert_eq!([1, 2, 3, 6].map(|layers| curves(Joining::Dense, layers)), [1, 3, 6, 21]);
        assert_eq!((curves(Joining::Residual, 3), curves(Joining::Plain, 3)), (3, 0));
        // The gap stands where layer 5 would be, without the curve from there and the four to there.
        assert_eq!(curves(Joining::Dense, 7), 21 - 5);
    }

    #[test]
    fn layers_say_what_they_read_and_add() {
        let svg = drawn(Joining::Dense, 100);
        for part in [">layer 4<", ">reads 52<", ">layer 100<", ">reads 1204<", ">+12<", ">100 layers<", ">1216<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains(">layer 5<"));
        assert!(drawn(Joining::Residual, 2).contains(">16<"), "channels of a residual block are as before");
    }
}

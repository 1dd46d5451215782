//! The weights between the layers of each block as heat maps: figure 5 of the paper.

use densenet::reuse::{BlockReuse, Reading};
use maud::{Markup, html};

use crate::report::figures::short;
use crate::svg::Svg;

/// Matplotlib's viridis, from the weakest connection to the strongest: even steps that colour-blind people can tell
/// apart, too.
const COLOURS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 45, 123],
    [59, 82, 139],
    [44, 114, 142],
    [33, 145, 140],
    [40, 174, 128],
    [94, 201, 98],
    [173, 220, 48],
    [253, 231, 37],
];

/// Units between the picture's edge and what is drawn.
const MARGIN: f64 = 24.0;
/// Where the heat maps begin, below title and scale.
const TOP: f64 = 112.0;
/// Left of a heat map's cells, for the names of its rows.
const LEFT: f64 = 62.0;
/// Above a heat map's cells, for its title.
const ABOVE: f64 = 22.0;
/// Below a heat map's cells, for the names of its columns.
const BELOW: f64 = 72.0;
/// Between the layers' columns and that of what follows them.
const GAP: f64 = 6.0;
/// Beyond this width, heat maps continue in another row.
const WIDEST: f64 = 1240.0;
const NARROWEST: f64 = 560.0;

/// The heat maps of all `blocks` of the network `name`.
pub fn heat_maps(name: &str, blocks: &[BlockReuse]) -> Svg<'static> {
    let cell = side_of_cells(blocks);
    let (places, [right, bottom]) = places(blocks, cell);
    let width = (right + MARGIN).max(NARROWEST);
    let body = html! {
        text class="title" x=(MARGIN) y="38" { "Feature reuse in " (name) }
        (scale())
        @for (i, (block, [x, y])) in blocks.iter().zip(places).enumerate() {
            g transform={ "translate(" (x) " " (y) ")" } { (heat_map(i + 1, block, cell)) }
        }
    };
    let style = ".cell{stroke:#fff;stroke-width:1}.frame{fill:none;stroke:#1f2933;stroke-width:1.5}";
    Svg { width, height: bottom, title: "Mean absolute weight between the layers of each dense block", style, body }
}

/// Small blocks have large cells; long blocks cells that their numbers still fit into.
fn side_of_cells(blocks: &[BlockReuse]) -> f64 {
    let longest = blocks.iter().map(columns).max().unwrap_or(1);
    (440.0 / longest as f64).floor().clamp(18.0, 34.0)
}

fn columns(block: &BlockReuse) -> usize {
    block.readings().count()
}

/// Where each heat map is, in rows, and the right and lower end of all.
fn places(blocks: &[BlockReuse], cell: f64) -> (Vec<[f64; 2]>, [f64; 2]) {
    let (mut x, mut y, mut row, mut right) = (MARGIN, TOP, 0.0, 0.0);
    let mut places = Vec::with_capacity(blocks.len());
    for block in blocks {
        let width = LEFT + columns(block) as f64 * cell + GAP;
        let height = ABOVE + block.widths.len() as f64 * cell + BELOW;
        if x > MARGIN && x + width > WIDEST {
            (x, y, row) = (MARGIN, y + row, 0.0);
        }
        places.push([x, y]);
        (right, row) = (f64::max(right, x + width), f64::max(row, height));
        x += width + MARGIN;
    }
    (places, [right, y + row])
}

/// What the colours mean.
fn scale() -> Markup {
    let (width, stops) = (240.0, COLOURS.len() - 1);
    html! {
        defs {
            linearGradient id="scale" {
                @for i in 0..=stops {
                    stop offset=(i as f64 / stops as f64) stop-color=(colour(i as f64 / stops as f64)) {}
                }
            }
        }
        rect x=(MARGIN) y="56" width=(width) height="14" fill="url(#scale)" stroke="#9aa5b1" stroke-width=".5" {}
        @for (value, place) in [("0", 0.0), ("0.5", 0.5), ("1", 1.0)] {
            text class="middle quiet" x=(MARGIN + place * width) y="86" { (value) }
        }
        text x=(MARGIN + width + 16.0) y="62" { "mean absolute weight," }
        text x=(MARGIN + width + 16.0) y="78" { "in units of the largest of its column" }
    }
}

fn heat_map(number: usize, block: &BlockReuse, cell: f64) -> Markup {
    let (layers, rows) = (block.layers.len(), block.widths.len());
    let after = LEFT + layers as f64 * cell + GAP;
    let bottom = ABOVE + rows as f64 * cell;
    html! {
        text class="name" x=(LEFT) y="12" { "Dense block " (number) }
        @for row in 0..rows {
            text class="end" x=(LEFT - 6.0) y=(ABOVE + (row as f64 + 0.5) * cell + 4.0) { (source(row)) }
        }
        text class="middle quiet" transform={ "translate(10 " ((ABOVE + bottom) / 2.0) ") rotate(-90)" } {
            "what is read"
        }
        @for (column, layer) in block.layers.iter().enumerate() {
            g transform={ "translate(" (LEFT + column as f64 * cell) " " (ABOVE) ")" } { (cells(layer, cell)) }
            text class="middle" x=(LEFT + (column as f64 + 0.5) * cell) y=(bottom + 16.0) { (column + 1) }
        }
        @if let Some(reading) = &block.after {
            g transform={ "translate(" (after) " " (ABOVE) ")" } { (cells(reading, cell)) }
            rect class="frame" x=(after) y=(ABOVE) width=(cell) height=(bottom - ABOVE) {}
            text class="end" x=(after + cell) y=(bottom + 32.0) { (kind(reading)) }
        }
        text class="quiet" x=(LEFT) y=(bottom + 48.0) { "layer that reads" }
    }
}

/// A column: how much one layer uses each map that it reads.
fn cells(reading: &Reading, cell: f64) -> Markup {
    let layer = reading.layer.trim_start_matches("features.");
    html! {
        @for (row, (share, weight)) in reading.shares().into_iter().zip(&reading.weights).enumerate() {
            rect class="cell" y=(row as f64 * cell) width=(cell) height=(cell) fill=(colour(share)) {
                title { (layer) " reads " (source_in_words(row)) ": " (short(*weight)) ", " (short(share)) " of its largest" }
            }
        }
    }
}

fn source(row: usize) -> String {
    if row == 0 { "input".into() } else { row.to_string() }
}

fn source_in_words(row: usize) -> String {
    if row == 0 { "the block's input".into() } else { format!("layer {row}") }
}

/// What follows a block.
fn kind(after: &Reading) -> &'static str {
    if after.layer.starts_with("features.transition") { "transition" } else { "classifier" }
}

/// The colour of a share from 0 to 1; grey where weights are not finite.
fn colour(share: f64) -> String {
    if share.is_nan() {
        return "#bcccdc".into();
    }
    let place = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let below = (place as usize).min(COLOURS.len() - 2);
    let between = place - below as f64;
    let [r, g, b] = [0, 1, 2].map(|channel| {
        let [low, high] = [COLOURS[below], COLOURS[below + 1]].map(|colour| f64::from(colour[channel]));
        (low + between * (high - low)).round() as u8
    });
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> BlockReuse {
        let reading = |layer: &str, weights: &[f64]| Reading { layer: layer.into(), weights: weights.to_vec() };
        let layers = vec![reading("features.denseblock1.denselayer1.conv1", &[0.25])];
        BlockReuse { widths: vec![8, 4], layers, after: Some(reading("classifier", &[0.5, 0.125])) }
    }

    #[test]
    fn a_cell_for_each_connection_and_names_that_are_escaped() {
        let svg = heat_maps("<b> & \"c\"", &[block(), block()]).draw();
        assert_eq!(svg.matches("class=\"cell\"").count(), 6, "{svg}");
        assert!(svg.contains("Feature reuse in &lt;b&gt; &amp; ") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("classifier reads layer 1: 0.125, 0.25 of its largest"), "{svg}");
        assert!(svg.contains(&format!("fill=\"{}\"", colour(0.25))), "{svg}");
    }

    #[test]
    fn colours_are_the_scales_at_its_stops() {
        assert_eq!([0.0, 0.5, 1.0, f64::NAN].map(colour), ["#440154", "#21918c", "#fde725", "#bcccdc"]);
        assert_eq!(colour(1.0 / 16.0), "#461768");
    }

    #[test]
    fn heat_maps_that_do_not_fit_beside_each_other_go_below() {
        let (places, [right, bottom]) = places(&vec![block(); 12], 34.0);
        assert!(places.iter().all(|place| place[0] + LEFT + 68.0 <= right && place[1] + ABOVE + 68.0 < bottom));
        assert!(right <= WIDEST && places.last().unwrap()[1] > places[0][1], "{places:?}");
    }
}

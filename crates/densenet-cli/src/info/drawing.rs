//! The architecture as a drawing, from the picture down to the classes: figures 1 and 2 of the paper.

use densenet::architecture::Block;
use densenet::info::Info;
use densenet::{Architecture, Result};
use maud::{Markup, html};

use super::dense_block::{self, dense_block};
use super::in_words;
use crate::output::{count, counted};
use crate::svg::Svg;

/// Units between the picture's edge and what is drawn.
const MARGIN: f64 = 24.0;
/// Width of an operation's drawing; its output is written to the right of it.
const WIDTH: f64 = 720.0;
/// Where the first operation begins.
const TOP: f64 = 134.0;
/// Height of an operation in one line.
const BAR: f64 = 36.0;
/// Length of the arrow between two operations.
const ARROW: f64 = 20.0;

/// Style of all operations; each block's maps have colours of Okabe and Ito, which colour-blind people can tell apart.
const STYLE: &str = ".bar{fill:#f5f7fa;stroke:#7b8794}.block{fill:#eef5fc;stroke:#2f6f9f}.map{fill:#fff;stroke-width:2}\
                     .curve{fill:none;stroke-width:1.8}.flow{stroke:#1f2933;stroke-width:1.5}.tip{fill:#1f2933}";

/// An operation: its height, its drawing, and what it makes and costs.
struct Row {
    height: f64,
    drawing: Markup,
    makes: String,
    params: usize,
}

/// Draws the network `name` and what it makes of a picture, which `costs` were counted for.
///
/// # Errors
/// A picture too small for the network.
pub fn drawing(name: &str, architecture: &Architecture, costs: &Info) -> Result<Svg<'static>> {
    let rows = rows(architecture, costs)?;
    let [channels, height, width] = costs.input;
    let mut y = TOP;
    let placed: Vec<(f64, Row)> = rows
        .into_iter()
        .map(|row| {
            let top = y;
            y += row.height + ARROW;
            (top, row)
        })
        .collect();
    let body = html! {
        text class="title" x=(MARGIN) y="38" { (name) }
        text class="quiet" x=(MARGIN) y="60" {
            (count(costs.params as u64)) " parameters, " (count(costs.macs)) " multiply-adds"
        }
        text class="quiet" x=(MARGIN) y="80" { "each layer: " (in_words::layer(architecture)) }
        text class="name middle" x=(MARGIN + WIDTH / 2.0) y=(TOP - ARROW - 5.0) {
            "picture " (channels) "x" (height) "x" (width)
        }
        @for (top, row) in &placed { (row_at(row, *top)) }
    };
    Ok(Svg { width: MARGIN + WIDTH + 196.0, height: y, title: "The operations of a network", style: STYLE, body })
}

fn row_at(row: &Row, top: f64) -> Markup {
    let (middle, right) = (MARGIN + WIDTH / 2.0, MARGIN + WIDTH + 16.0);
    html! {
        path class="flow" d={ "M" (middle) " " (top - ARROW) "v" (ARROW - 5.0) } {}
        path class="tip" d={ "M" (middle) " " (top) "l-5 -8h10z" } {}
        g transform={ "translate(" (MARGIN) " " (top) ")" } { (row.drawing) }
        text class="name" x=(right) y=(top + row.height / 2.0 - 2.0) { (row.makes) }
        text class="quiet" x=(right) y=(top + row.height / 2.0 + 15.0) { (counted(row.params, "parameter")) }
    }
}

fn rows(architecture: &Architecture, costs: &Info) -> Result<Vec<Row>> {
    let sizes = architecture.block_sizes(costs.input[1], costs.input[2])?;
    let params = |parts: &[&str]| {
        let of_parts = costs.layers.iter().filter(|layer| parts.iter().any(|part| layer.name.starts_with(part)));
        of_parts.map(|layer| layer.params).sum()
    };
    let stem = ["features.conv0", "features.norm0"];
    let mut rows =
        vec![bar(&in_words::stem(architecture), maps(architecture.blocks[0].in_channels, sizes[0]), params(&stem))];
    for (i, (block, &size)) in architecture.blocks.iter().zip(&sizes).enumerate() {
        let (name, part) = (in_words::block(architecture, i), format!("features.denseblock{}.", i + 1));
        rows.push(Row {
            height: dense_block::HEIGHT,
            drawing: dense_block(&name, block, architecture.config.joining, WIDTH),
            makes: maps(last_width(architecture, block), size),
            params: params(&[&part]),
        });
        if let Some(transition) = &block.transition {
            let words = format!("Transition {}: {}", i + 1, in_words::transition(architecture, transition));
            let part = format!("features.transition{}", i + 1);
            rows.push(bar(&words, maps(transition.conv.out_channels, sizes[i + 1]), params(&[&part])));
        }
    }
    let makes = match architecture.classifier.last() {
        Some(linear) => counted(linear.out_features, "class"),
        None => counted(architecture.num_features, "feature"),
    };
    rows.push(bar(&in_words::head(architecture), makes, params(&["features.norm5", "classifier"])));
    Ok(rows)
}

/// An operation in one line.
fn bar(words: &str, makes: String, params: usize) -> Row {
    let drawing = html! {
        rect class="bar" width=(WIDTH) height=(BAR) rx="6" {}
        text class="middle" x=(WIDTH / 2.0) y=(BAR / 2.0 + 4.0) { (words) }
    };
    Row { height: BAR, drawing, makes, params }
}

fn maps(channels: usize, (height, width): (usize, usize)) -> String {
    format!("{channels}x{height}x{width}")
}

/// Channels at the end of a block, as what follows reads them.
fn last_width(architecture: &Architecture, block: &Block) -> usize {
    block.transition.as_ref().map_or(architecture.final_norm.channels, |transition| transition.norm.channels)
}

#[cfg(test)]
mod tests {
    use densenet::Config;
    use densenet::config::{Activation, Joining};

    use super::*;

    fn drawn(config: &Config) -> String {
        let architecture = Architecture::new(config).unwrap();
        let costs = Info::new(&architecture, config.input_size).unwrap();
        drawing("<seed> & co", &architecture, &costs).unwrap().draw()
    }

    #[test]
    fn all_operations_with_what_they_make() {
        let svg = drawn(&Config::preset("densenet121").unwrap());
        for part in [
            "&lt;seed&gt; &amp; co",
            "7,978,856 parameters",
            ">each layer: BN, ReLU, 1x1 conv to 128, BN, ReLU, 3x3 conv to 32<",
            ">Stem: 7x7 conv 3 → 64 of stride 2, BN, ReLU, 3x3 max pooling of stride 2 and padding 1<",
            ">256x56x56<",
            ">Transition 1: BN, ReLU, 1x1 conv 256 → 128, 2x2 average pooling<",
            ">Head: BN, ReLU, global average pooling, linear 1024 → 1000<",
            ">1,000 classes<",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches(">Dense block ").count(), 4);
        assert_eq!(svg.matches('⋯').count(), 3, "blocks of 12, 24 and 16 layers are abbreviated, one of 6 is not");
    }

    #[test]
    fn batch_norms_of_post_activation_networks_stand_after_their_convolutions() {
        let bc = Config::preset("densenet-bc-22-12").unwrap();
        let svg = drawn(&Config { activation: Activation::Post, ..bc });
        for words in [
            ">Stem: 3x3 conv 3 → 24, BN, ReLU<",
            ">each layer: 1x1 conv to 48, BN, ReLU, 3x3 conv to 12, BN, ReLU<",
            ">Transition 1: 1x1 conv 60 → 30, 2x2 average pooling, BN, ReLU<",
            ">Head: global average pooling, linear 69 → 10<",
        ] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
    }

    #[test]
    fn blocks_of_other_joinings_are_not_dense() {
        let svg = drawn(&Config { joining: Joining::Residual, ..Config::preset("seed").unwrap() });
        assert!(svg.contains(">Residual block 4<") && svg.contains(">each layer: BN, ReLU, 3x3 conv<"), "{svg}");
        assert!(!svg.contains("Dense"));
    }

    #[test]
    fn a_backbone_ends_with_its_features() {
        let svg = drawn(&Config { num_classes: 0, ..Config::preset("seed").unwrap() });
        assert!(svg.contains(">Head: BN, ReLU, global average pooling<") && svg.contains(">248 features<"), "{svg}");
    }
}

//! `densenet reuse`.

mod cutting;
mod heat_map;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::reuse::{BlockReuse, Reading, reuse};
use serde::Serialize;

use self::cutting::{Cutting, Effect};
use self::heat_map::heat_maps;
use crate::networks::Networks;
use crate::output::{self, counted};
use crate::preparing::Preparing;
use crate::reading;
use crate::threads::Threads;

/// Draws how much each layer of trained weights uses each layer before it, as in figure 5 of the paper
///
/// The picture has a heat map for each dense block: the mean absolute weight from each map, the block's input first, to
/// each layer that reads it, the transition or the classifier last. With --cut it reports how much accuracy is left
/// when weak connections are cut.
#[derive(Args)]
#[command(after_help = "Example: densenet reuse --weights cifar10 --out reuse.svg\n\
    or:      densenet reuse --weights cifar10 --cut 0.2 --data cifar10")]
pub struct Reuse {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// Where to write the picture (SVG) [default: reuse.svg; none with --json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object: each mean absolute weight, and what was cut
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    cutting: Cutting,
    #[command(flatten)]
    reading: reading::Reading,
    #[command(flatten)]
    preparing: Preparing,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told {
    blocks: Vec<BlockReuse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Effect>,
}

impl Reuse {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let networks = Networks::new(vec![self.reading.load(&self.weights, &self.preparing)?])?;
        let blocks = reuse(networks.first().architecture(), networks.first().parameters())?;
        let cut = self.cutting.effect(networks)?;
        let usual = (!self.json).then(|| PathBuf::from("reuse.svg"));
        if let Some(path) = self.out.or(usual) {
            heat_maps(&output::file_name(&self.weights), &blocks).save(&path)?;
        }
        if self.json {
            output::print_json(&Told { blocks, cut })?;
        } else {
            output::print(&(describe(&blocks) + &cut.map_or(String::new(), |cut| cut.in_words())))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A row for each block: how its connections spread. A layer that reads only one map says nothing about that.
fn describe(blocks: &[BlockReuse]) -> String {
    let header = ["block", "connections", "below 0.2", "below 0.5", "strongest: the map before"].map(String::from);
    let rows = blocks.iter().enumerate().map(|(i, block)| {
        let columns: Vec<Vec<f64>> = block.readings().map(Reading::shares).filter(|shares| shares.len() > 1).collect();
        let below = |bound: f64| columns.iter().flatten().filter(|share| **share < bound).count();
        let nearest = columns.iter().filter(|shares| shares.last() == Some(&1.0)).count();
        let all = columns.iter().map(Vec::len).sum::<usize>();
        let of_layers = format!("{nearest} of {}", counted(columns.len(), "layer"));
        let counts = [i + 1, all, below(0.2), below(0.5)].map(|number| output::count(number as u64));
        counts.into_iter().chain([of_layers]).collect()
    });
    output::table(&std::iter::once(header.to_vec()).chain(rows).collect::<Vec<_>>())
}

//! `densenet info`.

mod dense_block;
mod drawing;
mod in_words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::checkpoint::Inferred;
use densenet::info;
use densenet::{Architecture, Card, Config};
use serde_json::json;

use self::drawing::drawing;
use crate::model;
use crate::output;
use crate::preparing;
use crate::reading::{Found, Reading};

/// Describes a network or weight file and its cost: parameters, multiply-adds, and a row per layer
#[derive(Args)]
#[command(after_help = "Example: densenet info densenet121\n\
    or:      densenet info densenet121 --draw densenet121.svg")]
pub struct Info {
    /// Name of a built-in model or of a network, or a weight file
    #[arg(value_name = "MODEL")]
    name: String,
    /// Height and width of the picture [default: the network's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Also draw the network: blocks, transitions, and the connections between layers (SVG)
    #[arg(long, value_name = "FILE")]
    draw: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

impl Info {
    pub fn run(self) -> Result<ExitCode> {
        // Weights are read, too, so that a damaged file is not taken for an intact one.
        let description = match model::has_weights(&self.name) {
            true => {
                let Found { card, inferred, .. } = self.reading.read(Path::new(&self.name))?;
                Description { config: card.config.clone(), card: Some(card), inferred }
            }
            false => Description { config: model::untrained(&self.name)?, card: None, inferred: None },
        };
        let Description { config, card, inferred } = &description;
        let native = card.as_ref().map_or(config.input_size, Card::input_size);
        let architecture = Architecture::new(config)?;
        let costs = info::Info::new(&architecture, self.size.unwrap_or(native))?;
        if let Some(path) = &self.draw {
            drawing(&output::file_name(Path::new(&self.name)), &architecture, &costs)?.save(path)?;
        }
        if self.json {
            let mut object = json!(costs);
            object["model"] = json!(self.name);
            object["config"] = json!(config);
            if let Some(card) = card {
                object["card"] = json!(card);
            }
            if let Some(inferred) = inferred {
                object["inferred"] = json!(inferred);
            }
            output::print_json(&object)?;
        } else {
            output::print(&describe(&self.name, &costs, &description))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What there is to say about a network.
struct Description {
    config: Config,
    /// What its file says, or what could be inferred from it.
    card: Option<Card>,
    /// What was inferred from a file that does not say what it is.
    inferred: Option<Inferred>,
}

fn describe(name: &str, costs: &info::Info, description: &Description) -> String {
    let header = ["layer", "output", "parameters", "multiply-adds"].map(String::from).to_vec();
    let rows = costs.layers.iter().map(|layer| {
        let shape: Vec<String> = layer.output.iter().map(usize::to_string).collect();
        vec![layer.name.clone(), shape.join("x"), output::count(layer.params as u64), output::count(layer.macs)]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let [channels, height, width] = costs.input;
    format!(
        "{name}: {} parameters, {} multiply-adds for an input of {channels}x{height}x{width}, {}\n{}\n{}",
        output::count(costs.params as u64),
        output::count(costs.macs),
        output::counted(description.config.num_classes, "class"),
        about(description),
        output::table(&rows)
    )
}

/// What is known about the network besides its costs, a line each.
fn about(Description { config, card, inferred }: &Description) -> String {
    let preset = model::name(config).map(|name| format!("{name}: ")).unwrap_or_default();
    let mut lines = vec![preset + &model::structure(config)];
    if let Some(card) = card {
        if !card.dataset.is_empty() {
            let epochs = output::counted(card.epoch, "epoch");
            lines.push(format!("trained on {} for {epochs}, seed {}", card.dataset, card.seed));
        }
        lines.extend(card.preprocessing.as_ref().map(|how| format!("pictures: {}", preparing::in_words(how))));
        if !card.labels.is_empty() {
            lines.push(format!("classes: {}", card.labels.join(", ")));
        }
        lines.extend(card.licence.as_ref().map(|licence| format!("licence: {licence}")));
    }
    if let Some(inferred) = inferred {
        lines.push(format!("tensor names: {}", inferred.spelling));
        let taken = inferred.assumptions.iter();
        lines.extend(
            taken.map(|a| format!("not stated in the file: {} (assumed: {}; option {})", a.what, a.taken, a.option)),
        );
        lines.extend(inferred.notes.iter().chain(&inferred.remarks).cloned());
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

//! `densenet info`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::checkpoint::Card;
use densenet::info;
use densenet::{Architecture, Config};
use serde_json::json;

use crate::{model, output};

/// Says what a network costs: parameters, multiply-adds, and a row per layer
#[derive(Args)]
#[command(after_help = "Example: densenet info densenet121")]
pub struct Info {
    /// Name of a model, built in or not yet trained, or a weight file
    model: String,
    /// Height and width of the picture [default: the network's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Info {
    pub fn run(self) -> Result<ExitCode> {
        let path = Path::new(&self.model);
        let (config, card) = match path.is_file() || model::built_in(path).is_some() {
            true => model::open(path)?.card().map(|card| (card.config.clone(), Some(card)))?,
            false => (Config::preset(&self.model)?, None),
        };
        let native = card.as_ref().map_or(config.input_size, |card| card.preprocessing.size);
        let costs = info::Info::new(&Architecture::new(&config)?, self.size.unwrap_or(native))?;
        if self.json {
            let mut object = json!(costs);
            object["model"] = json!(self.model);
            object["config"] = json!(config);
            if let Some(card) = card {
                object["card"] = json!(card);
            }
            output::print_json(&object)?;
        } else {
            output::print(&describe(&self.model, &costs, card.as_ref()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(model: &str, costs: &info::Info, card: Option<&Card>) -> String {
    let header = ["layer", "output", "parameters", "multiply-adds"].map(String::from).to_vec();
    let rows = costs.layers.iter().map(|layer| {
        let shape: Vec<String> = layer.output.iter().map(usize::to_string).collect();
        vec![layer.name.clone(), shape.join("x"), output::count(layer.params as u64), output::count(layer.macs)]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let [channels, height, width] = costs.input;
    let mut text = format!(
        "{model}: {} parameters, {} multiply-adds for an input of {channels}x{height}x{width}\n",
        output::count(costs.params as u64),
        output::count(costs.macs),
    );
    if let Some(card) = card {
        text += &format!("trained on {} for {} epochs, seed {}\n", card.dataset, card.epoch, card.seed);
        text += &format!("classes: {}\n", card.labels.join(", "));
        if let Some(licence) = &card.licence {
            text += &format!("licence: {licence}\n");
        }
    }
    text + "\n" + &output::table(&rows)
}

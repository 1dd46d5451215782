//! `densenet models`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::Architecture;
use densenet::checkpoint::Card;
use densenet::models::{MODELS, Model};
use serde_json::{Value, json};

use crate::output;

/// Lists the built-in trained networks
///
/// Their names can be used wherever a weight file can; densenet predict uses the first if no weights are given.
#[derive(Args)]
#[command(after_help = "Example: densenet models\n\
    then:    densenet predict --weights fashion-mnist shirt.png")]
pub struct Models {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Models {
    pub fn run(self) -> Result<ExitCode> {
        let cards = MODELS.iter().map(|model| Ok((model, model.open()?.card()?))).collect::<Result<Vec<_>>>()?;
        if self.json {
            let models: Vec<Value> = cards.iter().map(|(model, card)| object(model, card)).collect();
            output::print_json(&json!({ "models": models }))?;
        } else {
            let texts = cards.iter().map(|(model, card)| describe(model, card)).collect::<Result<Vec<_>>>()?;
            output::print(&texts.join("\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn object(model: &Model, card: &Card) -> Value {
    let &Model { name, correct, images, command, file } = model;
    json!({
        "name": name, "top1": model.top1(), "correct": correct, "images": images, "data": card.dataset,
        "command": command, "licence": card.licence, "bytes": file.len(), "labels": card.labels,
        "preprocessing": card.preprocessing, "config": card.config,
    })
}

fn describe(model: &Model, card: &Card) -> Result<String> {
    let config = &card.config;
    let parameters = Architecture::new(config)?.num_parameters();
    Ok(format!(
        "{}: {:.2} % of the {} test pictures of {}\n  \
         {} parameters, {} KiB, pictures of {}x{size}x{size}, licence {}\n  \
         classes: {}\n  trained with: {}\n",
        model.name,
        100.0 * model.top1(),
        output::count(model.images),
        card.dataset,
        output::count(parameters as u64),
        model.file.len() / 1024,
        config.in_channels,
        card.licence.as_deref().unwrap_or("unknown"),
        card.labels.join(", "),
        model.command,
        size = card.input_size(),
    ))
}

//! What becomes of a network without its weak connections.

use anyhow::{Result, anyhow};
use clap::Args;
use densenet::data::{Part, Split, Views};
use densenet::evaluation::{Evaluation, Intervals};
use densenet::info::Info;
use densenet::reuse::{Cut, cut};
use serde::Serialize;

use crate::data_options::DataOptions;
use crate::eval::{headline, labelled, predict};
use crate::networks::Networks;
use crate::output::{self, count};
use crate::share::share;
use crate::word::word;

/// Which connections are cut, and the pictures to measure what that costs.
#[derive(Args)]
#[command(next_help_heading = "Cutting weak connections")]
pub struct Cutting {
    /// Set to zero the connections whose mean absolute weight is below this share of the largest of the same layer, from 0
    /// to 1, and evaluate the network before and after
    #[arg(long, value_name = "X|P%", value_parser = share, requires = "data")]
    cut: Option<f64>,
    /// The data to evaluate on: anything that densenet eval takes
    #[arg(long, value_name = "D", requires = "cut")]
    data: Option<String>,
    /// The part of the data to score: train, val or test [default: the held-out part; all of a folder without parts]
    #[arg(long, value_name = "PART", value_parser = word::<Part>, requires = "data")]
    part: Option<Part>,
    /// Inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    #[command(flatten)]
    data_options: DataOptions,
}

/// What was cut, and how well the network did before and does after.
#[derive(Serialize)]
pub struct Effect {
    share: f64,
    #[serde(flatten)]
    cut: Cut,
    of_params: usize,
    of_macs: u64,
    before: Evaluation,
    after: Evaluation,
}

impl Cutting {
    /// Cuts the first of `networks` and evaluates it before and after; none where nothing is to be cut.
    pub fn effect(&self, mut networks: Networks) -> Result<Option<Effect>> {
        let (Some(share), Some(data)) = (self.cut, &self.data) else { return Ok(None) };
        let size = networks.preprocessing()?.size;
        // Integers become the weights that they stand for, so that before and after differ only by the cut.
        networks.first_mut().parameters_mut();
        let architecture = networks.first().architecture().clone();
        let Info { params: of_params, macs: of_macs, .. } = Info::new(&architecture, size)?;
        let mut parameters = networks.first().parameters().to_vec();
        let cut = cut(&architecture, &mut parameters, share, size)?;
        let split = self.data_options.open(data)?.into_part(self.part)?;
        let split = labelled(&networks, data, split)?;
        let before = self.evaluate(&networks, &split)?;
        networks.first_mut().parameters_mut().copy_from_slice(&parameters);
        let after = self.evaluate(&networks, &split)?;
        after.unreadable.iter().for_each(|picture| output::complain("warning", &anyhow!("{picture}")));
        Ok(Some(Effect { share, cut, of_params, of_macs, before, after }))
    }

    fn evaluate(&self, networks: &Networks, split: &Split) -> Result<Evaluation> {
        let predictions = predict(networks, split, Views::default(), self.batch as usize)?;
        Ok(Evaluation { intervals: Some(Intervals::new(&predictions)), ..Evaluation::new(&predictions) })
    }
}

impl Effect {
    /// Three lines: what was cut, and the figures before and after.
    pub fn in_words(&self) -> String {
        let Self { share, cut, of_params, of_macs, before, after } = self;
        format!(
            "\nbelow {share}: {}, {}, {}\nbefore: {}\nafter:  {}\n",
            part(cut.cut_connections as u64, cut.connections as u64, "connections"),
            part(cut.params as u64, *of_params as u64, "parameters"),
            part(cut.macs, *of_macs, "multiply-adds"),
            headline(before),
            headline(after),
        )
    }
}

/// `12 of 300 connections (4.0 %)`.
fn part(number: u64, of: u64, what: &str) -> String {
    format!("{} of {} {what} ({:.1} %)", count(number), count(of), 100.0 * number as f64 / of as f64)
}

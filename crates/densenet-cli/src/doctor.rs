//! `densenet doctor`.

mod candidates;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use densenet::data::Split;
use densenet::files::write_whole;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::candidates::Setting;
use self::trial::{Patient, Score};
use crate::data_dir::DataDir;
use crate::output::{self, counted};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// Settings that are kept from one round of trials to the next.
const KEPT: usize = 4;

/// Pictures of a trial in the first, the second and the last round, at most.
const PICTURES: [usize; 3] = [128, 384, 2_000];

/// Pictures of a trial at least: below that, chance decides.
const FEWEST: usize = 32;

/// Finds the settings that weights want, by trying them on labelled pictures
///
/// What a weight file cannot tell (pooling, the last ReLU, the order of maps) and how pictures are prepared (mean and
/// deviation, range of values, size, crop, interpolation, order of channels) is tried: everything on a few pictures, and
/// then less and less on more and more. The best settings are printed with their accuracies and as options, and --out writes
/// them as a card for --card.
#[derive(Args)]
#[command(after_help = "Example: densenet doctor densenet121.pth photos/val --out card.json\n\
    then:    densenet predict --weights densenet121.pth --card card.json photo.jpg")]
pub struct Doctor {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// fashion-mnist, mnist, cifar10, cifar100, or a folder of classes, IDX files or CIFAR binaries; its test part is taken
    #[arg(value_name = "DATA")]
    data: String,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
    /// About how long to try
    #[arg(long, value_name = "X", default_value_t = 100)]
    seconds: u32,
    /// Write the best settings as a card
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let data = self.data_dir.open(&self.data)?;
        let patient = Patient::new(&self.reading, &self.preparing, &self.weights, &data)?;
        let tried = self.search(&patient, &data.test)?;
        let (best, score) = &tried[0];
        let labels = patient.labels_in_order(&data.test, score);
        if let Some(path) = &self.out {
            write_card(path, best, labels.as_deref())?;
        }
        match self.json {
            true => output::print_json(&as_json(&tried, labels.as_deref())),
            false => output::print(&in_words(&self.weights, &tried, labels.as_deref())),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// The settings of the last round, the best first.
    fn search(&self, patient: &Patient, split: &Split) -> Result<Vec<(Setting, Score)>> {
        let everything = patient.networks_and_values();
        let pictures = self.pictures(patient, split, everything.len())?;
        let usual = everything[0].clone();
        let bar = bar();
        let first = trial::round(patient, split, everything, pictures[0], &bar)?;
        let mut kept: Vec<Setting> = first.into_iter().take(KEPT).map(|(setting, _)| setting).collect();
        for change in candidates::CHANGES {
            let changed = kept.iter().flat_map(|setting| change(&patient.sizes, setting)).collect();
            let ranked = trial::round(patient, split, changed, pictures[1], &bar)?;
            kept = ranked.into_iter().take(KEPT).map(|(setting, _)| setting).collect();
        }
        kept.push(usual);
        let last = trial::round(patient, split, kept, pictures[2], &bar);
        bar.finish_and_clear();
        let mut last = last?;
        last.sort_by_key(|(_, score)| std::cmp::Reverse(score.correct));
        if last.is_empty() {
            bail!("no settings are left: none of them suits a picture of this network's size");
        }
        Ok(last)
    }

    /// Pictures of a trial in each round, so that all takes about as long as was asked for: fewer for slow networks.
    fn pictures(&self, patient: &Patient, split: &Split, first_trials: usize) -> Result<[usize; 3]> {
        let rate = patient.pictures_per_second(split)?;
        let share = |trials: usize| (rate * f64::from(self.seconds) / 3.0 / trials as f64) as usize;
        let trials = [first_trials, KEPT * candidates::MOST_CHANGES, KEPT + 1];
        Ok([0, 1, 2].map(|round| share(trials[round]).clamp(FEWEST, PICTURES[round]).min(split.len())))
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} of {len} trials of {msg}  {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// The best settings as a card's fields.
fn write_card(path: &Path, best: &Setting, labels: Option<&[String]>) -> Result<()> {
    let mut card = json!({ "config": best.config, "preprocessing": best.preprocessing });
    if let Some(labels) = labels {
        card["labels"] = json!(labels);
    }
    let text = serde_json::to_string_pretty(&card)? + "\n";
    write_whole(path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    output::note(format_args!("wrote {}", path.display()));
    Ok(())
}

fn as_json(tried: &[(Setting, Score)], labels: Option<&[String]>) -> Value {
    let tried: Vec<Value> = tried
        .iter()
        .map(|(setting, score)| {
            json!({
                "options": setting.options(), "new_maps": setting.new_maps, "config": setting.config,
                "preprocessing": setting.preprocessing, "top1": score.top1(), "correct": score.correct,
                "images": score.images, "loss": score.loss,
            })
        })
        .collect();
    json!({ "tried": tried, "labels": labels })
}

fn in_words(weights: &Path, tried: &[(Setting, Score)], labels: Option<&[String]>) -> String {
    let header = ["accuracy", "loss", "settings"].map(String::from).to_vec();
    let mut rows = vec![header];
    for (setting, score) in tried {
        let (low, high) = score.interval();
        let accuracy = format!("{:.1} % ({:.1} to {:.1})", 100.0 * score.top1(), 100.0 * low, 100.0 * high);
        rows.push(vec![accuracy, format!("{:.3}", score.loss), setting.options()]);
    }
    let images = counted(tried[0].1.images, "picture");
    let mut text = format!("on {images}, 95 % intervals in brackets, the best first:\n{}", output::table(&rows));
    if let Some(labels) = labels {
        text += &format!("\nthe network's classes are in another order than the data's: {}\n", labels.join(", "));
    }
    text + &format!("\n{} wants {}\n", weights.display(), tried[0].0.options())
}

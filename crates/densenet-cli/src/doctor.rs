//! `densenet doctor`.

mod candidates;
mod order;
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
use crate::data_options::DataOptions;
use crate::output::{self, counted};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// Settings that are kept from one round of trials to the next.
const KEPT: usize = 4;

/// Pictures of a trial in the first, the second and the last round, at most.
const PICTURES: [usize; 3] = [128, 384, 2_000];

/// Pictures of each class in the first round, at most, where these are more: enough to find the order of classes.
const PICTURES_OF_CLASS: usize = 5;

/// Pictures of a trial at least: below that, chance decides.
const FEWEST: usize = 32;

/// Finds the settings that weights need, by trying them on labelled pictures
///
/// Tries what a weight file does not say (pooling, the last ReLU, the order of maps) and how pictures may be prepared
/// (mean and standard deviation, value range, size, crop, interpolation, channel order): first everything on a few
/// pictures, then fewer and fewer settings on more and more pictures. Prints the best settings with their accuracies
/// and as options; --out writes them as a card for --card.
#[derive(Args)]
#[command(after_help = "Example: densenet doctor densenet121.pth photos/val --out card.json\n\
    then:    densenet predict --weights densenet121.pth --card card.json photo.jpg")]
pub struct Doctor {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// fashion-mnist, mnist, cifar10, cifar100, a folder of classes, IDX files or CIFAR binaries, or a table (.csv,
    /// .csv.gz, .jsonl); its test part is used
    #[arg(value_name = "DATA")]
    data: String,
    /// About how long to search
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
    #[command(flatten)]
    data_options: DataOptions,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

impl Doctor {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let data = self.data_options.open(&self.data)?;
        let mut patient = Patient::new(&self.reading, &self.preparing, &self.weights, &data)?;
        let tried = self.search(&mut patient, &data.test)?;
        let labels = patient.names(data.test.classes());
        if let Some(path) = &self.out {
            write_card(path, &tried[0].0, labels.as_deref())?;
        }
        match self.json {
            true => output::print_json(&as_json(&tried, labels.as_deref())),
            false => output::print(&in_words(&self.weights, &tried, labels.as_deref())),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// The settings of the last round, the best first.
    fn search(&self, patient: &mut Patient, split: &Split) -> Result<Vec<(Setting, Score)>> {
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
            bail!("no settings are left: none of them suits pictures of this network's size");
        }
        Ok(last)
    }

    /// Pictures of a trial in each round, so that everything takes about the requested time: fewer for slow networks.
    fn pictures(&self, patient: &Patient, split: &Split, first_trials: usize) -> Result<[usize; 3]> {
        let rate = patient.pictures_per_second(split)?;
        let share = |trials: usize| (rate * f64::from(self.seconds) / 3.0 / trials as f64) as usize;
        let trials = [first_trials, KEPT * candidates::MOST_CHANGES, KEPT + 1];
        let [first, second, last] = PICTURES;
        let most = [first.max(PICTURES_OF_CLASS * split.classes().len()).min(second), second, last];
        Ok([0, 1, 2].map(|round| share(trials[round]).clamp(FEWEST, most[round]).min(split.len())))
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
                "images": score.images, "loss": score.loss, "as_well_as_the_best": does_as_well(score, &tried[0].1),
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
        text += &format!("\nthe network's classes are in a different order from the data's: {}\n", labels.join(", "));
    }
    let (best, best_score) = &tried[0];
    text += &format!("\n{} needs {}\n", weights.display(), best.options());
    for (setting, score) in tried[1..].iter().filter(|(_, score)| does_as_well(score, best_score)) {
        text += &format!("it does as well with {}: {:.1} %\n", setting.beyond(best), 100.0 * score.top1());
    }
    text
}

/// Whether an accuracy lies within the interval of the best, so that this many pictures cannot tell them apart.
fn does_as_well(score: &Score, best: &Score) -> bool {
    score.top1() >= best.interval().0
}

#[cfg(test)]
mod tests {
    use densenet::Config;
    use densenet::checkpoint::NewMaps;
    use densenet::data::{Interpolation, Preprocessing};

    use super::*;

    fn tried(name: &str, interpolation: Interpolation, correct: usize) -> (Setting, Score) {
        let config = Config::preset("densenet-bc-40-12").unwrap();
        let preprocessing = Preprocessing { interpolation, ..Preprocessing::named(name).unwrap().with_size(32) };
        let mut score = Score::default();
        (score.correct, score.images) = (correct, 1000);
        (Setting { config, new_maps: NewMaps::Last, preprocessing }, score)
    }

    #[test]
    fn settings_within_the_interval_of_the_best_are_said_by_what_they_change() {
        let tried = [
            tried("cifar100", Interpolation::Bilinear, 934),
            tried("cifar10", Interpolation::Bilinear, 931),
            tried("cifar100", Interpolation::Bicubic, 925),
            tried("imagenet", Interpolation::Bilinear, 900),
        ];
        let text = in_words(Path::new("w.pth"), &tried, None);
        let said: Vec<&str> = text.lines().filter(|line| line.contains("does as well")).collect();
        assert_eq!(
            said,
            [
                "it does as well with the mean and deviation of cifar10: 93.1 %",
                "it does as well with --interpolation bicubic: 92.5 %",
            ]
        );
        assert!(
            text.contains("\nw.pth needs --mean 0.5071,0.4865,0.4409 --std 0.2673,0.2564,0.2762 --size 32 "),
            "{text}"
        );
    }
}

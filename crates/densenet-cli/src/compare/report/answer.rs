//! What the runs say about each claim.

use serde::Serialize;

use super::claims::{CLAIMS, Claim, Claimed, LITTLE, Measure, Test, Verdict};
use super::folder::{Folder, Spread};
use super::interval::{Estimate, Sample};
use super::pairs::{Pair, accuracy, gap, gradient_change, macs, parameters, side_by_side};
use crate::compare::results::RunResult;
use crate::report::chart::Chart;

/// A claim and what the runs say about it.
#[derive(Serialize)]
pub struct Answer {
    /// Its name for programs.
    pub id: &'static str,
    /// Its name for people.
    pub heading: &'static str,
    /// What is claimed.
    pub claim: &'static str,
    /// Where in the paper.
    pub paper: &'static str,
    /// Whether it is held.
    pub verdict: Verdict,
    /// What decides it.
    pub comparisons: Vec<Comparison>,
    /// Charts of the quantities that it is about.
    pub charts: Vec<Chart<'static>>,
}

/// A difference of two kinds of networks, and whether it is as claimed.
#[derive(Serialize)]
pub struct Comparison {
    /// The two kinds.
    pub kinds: [&'static str; 2],
    /// What is compared, in words.
    pub of: &'static str,
    /// What numbers it is in.
    pub unit: Unit,
    /// Where it is claimed to be.
    pub claimed: Claimed,
    /// Where it is; none without runs.
    pub difference: Option<Estimate>,
    /// Settings that count: those with all seeds.
    pub settings: usize,
    /// Whether a run that it needs diverged: the others are then no fair sample, and decide nothing.
    pub diverged: bool,
    /// Whether it is as claimed.
    pub verdict: Verdict,
    /// The difference in each setting.
    pub rows: Vec<Row>,
}

/// Two networks in one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The setting in words.
    pub setting: String,
    /// The networks' names, where they were trained.
    pub networks: Option<[String; 2]>,
    /// Their parameters.
    pub parameters: Option<[u64; 2]>,
    /// Multiply-adds of one picture.
    pub macs: Option<[u64; 2]>,
    /// What is compared, of either.
    pub values: [Spread; 2],
    /// Its difference.
    pub difference: Option<Estimate>,
}

/// What numbers a comparison is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Shares of pictures from 0 to 1.
    Accuracy,
    /// Losses.
    Loss,
    /// Natural logarithms of numbers of parameters or multiply-adds.
    LogCount,
    /// Natural logarithms of how many times a gradient becomes.
    LogFactor,
}

/// The answers to all claims, in their order.
pub fn answers(folder: &Folder) -> Vec<Answer> {
    CLAIMS.iter().map(|claim| answer(folder, claim)).collect()
}

fn answer(folder: &Folder, claim: &Claim) -> Answer {
    let comparisons: Vec<Comparison> = claim.tests.iter().map(|test| compare(folder, test)).collect();
    let verdict = comparisons.iter().map(|comparison| comparison.verdict).min().unwrap_or(Verdict::NotDecided);
    let charts = (claim.charts)(folder);
    let Claim { id, heading, text, paper, .. } = *claim;
    Answer { id, heading, claim: text, paper, verdict, comparisons, charts }
}

fn compare(folder: &Folder, test: &Test) -> Comparison {
    let networks = || side_by_side(folder, test.contrast, test.matched).into_iter();
    let (pairs, sample, settings) = match test.measure {
        Measure::Accuracy => mean(networks().filter_map(accuracy).collect()),
        Measure::Gap => mean(networks().filter_map(gap).collect()),
        Measure::Parameters => mean(networks().filter_map(parameters).collect()),
        Measure::Macs => mean(networks().filter_map(macs).collect()),
        Measure::AccuracyOnLittleData => mean(little_and_all(folder, test).0),
        Measure::AdvantageOfLittleData => advantage_of_little_data(folder, test),
        Measure::GradientChange => {
            mean(test.contrast.joinings().and_then(|both| gradient_change(folder, both)).into_iter().collect())
        }
    };
    let difference = sample.estimate();
    let diverged = needs_one_that_diverged(folder, test);
    let interval = difference.as_ref().and_then(|difference| difference.interval);
    let verdict = if diverged { Verdict::NotDecided } else { test.claimed.judge(interval) };
    let (of, unit) = in_words(test.measure);
    let (kinds, claimed, rows) = (test.contrast.names(), test.claimed, pairs.iter().map(row).collect());
    Comparison { kinds, of, unit, claimed, difference, settings, diverged, verdict, rows }
}

/// Whether a run that `test` needs diverged.
fn needs_one_that_diverged(folder: &Folder, test: &Test) -> bool {
    let little = |run: &RunResult| run.augment == "none" && folder.most_images(&run.experiment).is_some();
    let needs = |run: &RunResult| match test.measure {
        Measure::Accuracy | Measure::Gap => true,
        Measure::AccuracyOnLittleData => little(run) && run.images <= LITTLE,
        Measure::AdvantageOfLittleData => little(run),
        Measure::Parameters | Measure::Macs | Measure::GradientChange => false,
    };
    let networks = side_by_side(folder, test.contrast, test.matched);
    let mut runs = networks.iter().flatten().flat_map(|cell| cell.runs.values());
    runs.any(|run| run.diverged.is_some() && needs(run))
}

/// The mean over settings, and how many count.
fn mean(pairs: Vec<Pair>) -> (Vec<Pair>, Sample, usize) {
    let samples: Vec<&Sample> = pairs.iter().map(|pair| &pair.sample).collect();
    let (sample, settings) = Sample::mean_of(&samples);
    (pairs, sample, settings)
}

/// The difference on little data minus that on all data.
fn advantage_of_little_data<'a>(folder: &'a Folder, test: &Test) -> (Vec<Pair<'a>>, Sample, usize) {
    let (little, all) = little_and_all(folder, test);
    let ((mut little, of_little, few), (all, of_all, most)) = (mean(little), mean(all));
    little.extend(all);
    (little, of_little.less(&of_all), few + most)
}

/// Test accuracy without augmentation of two kinds of networks: on little data, and on all, in the experiments that
/// have both.
fn little_and_all<'a>(folder: &'a Folder, test: &Test) -> (Vec<Pair<'a>>, Vec<Pair<'a>>) {
    let (mut little, mut all) = (Vec::new(), Vec::new());
    for cells in side_by_side(folder, test.contrast, test.matched) {
        let run = cells[0].of;
        let Some(most) = folder.most_images(&run.experiment).filter(|_| run.augment == "none") else { continue };
        if run.images == most {
            all.extend(accuracy(cells));
        } else if run.images <= LITTLE {
            little.extend(accuracy(cells));
        }
    }
    (little, all)
}

fn in_words(measure: Measure) -> (&'static str, Unit) {
    match measure {
        Measure::Accuracy => ("test accuracy", Unit::Accuracy),
        Measure::AccuracyOnLittleData => ("test accuracy on little data", Unit::Accuracy),
        Measure::AdvantageOfLittleData => ("test accuracy on little data minus that on all data", Unit::Accuracy),
        Measure::Gap => ("test loss minus training loss", Unit::Loss),
        Measure::Parameters => ("parameters", Unit::LogCount),
        Measure::Macs => ("multiply-adds", Unit::LogCount),
        Measure::GradientChange => ("change of the first layer's relative gradient with depth", Unit::LogFactor),
    }
}

fn row(pair: &Pair) -> Row {
    let both = |of: fn(&RunResult) -> u64| pair.cells.as_ref().map(|[a, b]| [of(a.of), of(b.of)]);
    Row {
        setting: pair.setting.clone(),
        networks: pair.cells.as_ref().map(|[a, b]| [a.of.network.clone(), b.of.network.clone()]),
        parameters: both(|run| run.parameters),
        macs: both(|run| run.macs),
        values: pair.values.clone(),
        difference: pair.sample.estimate(),
    }
}
